"""Work beside that of the calling thread, which nobody waits for when the process ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

logger = logging.getLogger(__name__)


class Background:
    """Threads that do what they are given, in its order. Those of an executor would hold up the end of the process."""

    def __init__(self, name: str, threads: int) -> None:
        self._given: SimpleQueue[Callable[[], object]] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def give(self, work: Callable[[], object]) -> None:
        """Have it done as soon as a thread is free."""
        self._given.put(work)

    def _work(self) -> None:
        while True:
            try:
                self._given.get()()
            except Exception:  # a defect: the next work is another one's
                logger.exception("%s", threading.current_thread().name)

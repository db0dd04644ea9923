"""Work beside that of the calling thread, which nobody waits for when the process ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from datastores.domain.errors import CloudstoreError

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")


class Background:
    """Threads that do what they are given, in its order. Those of an executor would hold up the end of the process."""

    def __init__(self, name: str, threads: int) -> None:
        self._given: SimpleQueue[Callable[[], object]] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def give(self, work: Callable[[], object]) -> None:
        """Have it done as soon as a thread is free."""
        self._given.put(work)

    def each(self, things: Iterable[T], prepare: Callable[[T], Callable[[], R]]) -> Iterator[tuple[T, R | Exception]]:
        """Yield the things with what came of their work, or why nothing did, in the order in which they are done.

        ``prepare`` returns the work of one. It is called here, all before the first answer, and may look into the
        database; the work knows none. One that hangs holds up no other but by the thread that waits for it.
        """
        found: SimpleQueue[tuple[T, R | Exception]] = SimpleQueue()
        asked = 0
        for thing in things:
            asked += 1
            try:
                work = prepare(thing)
            except CloudstoreError as error:
                found.put((thing, error))
            else:
                self.give(partial(_answer, thing, work, found))
        for _ in range(asked):
            yield found.get()

    def _work(self) -> None:
        while True:
            try:
                self._given.get()()
            except Exception:  # a defect: the next work is another one's
                logger.exception("%s", threading.current_thread().name)


def _answer(thing: T, work: Callable[[], R], found: SimpleQueue[tuple[T, R | Exception]]) -> None:
    try:
        found.put((thing, work()))
    except Exception as error:  # told by who waits for it
        found.put((thing, error))

"""Something that takes long says beside itself that it is being done, whatever it is busy with."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from django.db import Error, connection

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def beating(beat: Callable[[], object], every: float, longest: float = float("inf")) -> Iterator[None]:
    """Call ``beat`` every so many seconds, in a thread of its own, until the block ends, or for ``longest`` seconds.

    What ends before its first beat costs no connection to the database.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(beat, every, longest, ended), name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(beat: Callable[[], object], every: float, longest: float, ended: threading.Event) -> None:
    left = longest
    try:
        while left > 0 and not ended.wait(every):
            left -= every
            try:
                beat()
            except Error:  # the next beat may come through
                logger.warning("a beat was not stored", exc_info=True)
                connection.close()
    finally:
        connection.close()

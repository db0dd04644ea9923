"""Pages of a job's log, read once for all its viewers in this process."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from typing import Any

from channels.db import database_sync_to_async

from datastores.models import JobEvent

PAGE_ENTRIES = 200
PAGE_LINES = 20_000
CACHED_PAGES = 64

Page = tuple[str, int, int]
"""The frames as one JSON array, the seq of the last one, and the number of its last line."""


class LogPages:
    """A small cache of pages keyed by (job, after).

    Two hundred viewers of one job ask for the same pages at the same moment: one of them reads the database,
    the others wait for it. Only full answers are kept; an empty one may be out of date at once.
    """

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[int, int, int], asyncio.Future[Page | None]] = OrderedDict()

    async def after(self, job: int, seq: int, bell: int) -> Page | None:
        """Return the page that follows entry ``seq``, or None. ``bell``: the newest entry known to be stored.

        Viewers that heard of the same bell share one answer; a later bell asks again.
        """
        key = (job, seq, max(bell, seq))
        future = self._pages.get(key)
        if future is None or (future.done() and (future.cancelled() or future.exception())):
            future = asyncio.ensure_future(read_page(job, seq))
            self._pages[key] = future
            while len(self._pages) > CACHED_PAGES:
                self._pages.popitem(last=False)
        page = await asyncio.shield(future)
        if page is None:
            self._pages.pop(key, None)
        return page


@database_sync_to_async
def read_page(job: int, seq: int) -> Page | None:
    frames: list[dict[str, Any]] = []
    lines = 0
    for event in JobEvent.objects.filter(job_id=job, seq__gt=seq).defer("data")[:PAGE_ENTRIES]:
        frames.append(event.frame())
        lines += event.lines
        if lines >= PAGE_LINES:
            break
    if not frames:
        return None
    last = frames[-1]
    return json.dumps(frames, separators=(",", ":")), last["seq"], last["first"] + last["lines"] - 1

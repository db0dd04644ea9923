"""What viewers of a job read, read once for all of them in this process: pages of its log, and its state."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from channels.db import database_sync_to_async

from datastores.jobs.view import job_frame, page_of
from datastores.models import Job, JobEvent, JobStep

PAGE_ENTRIES = 200
PAGE_LINES = 20_000
CACHED_PAGES = 64
CACHED_CHARACTERS = 16 << 20

Page = tuple[str, int, int]
"""The frames as one JSON array, the seq of the last one, and the number of its last line."""
State = tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]
"""The frame of a job without its steps, and of each step the frame with its text for comparison."""
K = TypeVar("K")
T = TypeVar("T")


class Shared(Generic[K, T]):
    """One read for all who ask the same at the same moment.

    Two hundred viewers of one job are woken by the same bell. Nobody gets an answer whose reading began before
    they asked, because it may lack what they were woken for: who asks during a read gets the next one.
    """

    def __init__(self, read: Callable[[K], Awaitable[T]], apart: float = 0.0) -> None:
        """``apart``: the seconds from the end of a read to the next one of the same."""
        self._read, self._apart = read, apart
        self._next: dict[K, asyncio.Future[T]] = {}
        self._readers: dict[K, asyncio.Task[None]] = {}

    async def ask(self, key: K) -> T:
        """Return what a read that begins from now on finds. Raises what the read raises."""
        answer = self._next.get(key)
        if answer is None:
            answer = self._next[key] = asyncio.get_running_loop().create_future()
        if key not in self._readers:
            self._readers[key] = asyncio.ensure_future(self._read_on(key))
        return await asyncio.shield(answer)

    async def _read_on(self, key: K) -> None:
        """Read as long as somebody asks."""
        try:
            while answer := self._next.pop(key, None):
                try:
                    answer.set_result(await self._read(key))
                except Exception as error:
                    answer.set_exception(error)
                    answer.exception()  # taken note of, even if all who asked have left
                await asyncio.sleep(self._apart)
        finally:
            del self._readers[key]


class LogPages:
    """A small cache of pages keyed by (job, after). Entries never change, so only an empty answer gets out of date."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[int, int], Page] = OrderedDict()
        self._characters = 0
        self._reads = Shared(read_page)

    async def after(self, job: int, seq: int) -> Page | None:
        """Return the page that follows entry ``seq``, or None: nothing followed when this was asked."""
        page = self._pages.get((job, seq)) or await self._reads.ask((job, seq))
        if page is not None:
            self._keep((job, seq), page)
        return page

    def _keep(self, place: tuple[int, int], page: Page) -> None:
        old = self._pages.get(place)
        self._pages[place] = page
        self._characters += len(page[0]) - (len(old[0]) if old else 0)
        while len(self._pages) > CACHED_PAGES or self._characters > CACHED_CHARACTERS:
            _, (frames, *_) = self._pages.popitem(last=False)
            self._characters -= len(frames)


@database_sync_to_async
def read_page(place: tuple[int, int]) -> Page | None:
    """Read what follows (job, seq)."""
    job, seq = place
    following = JobEvent.objects.filter(job_id=job, seq__gt=seq).defer("data")[:PAGE_ENTRIES]
    frames = list(page_of(following, PAGE_LINES))
    if not frames:
        return None
    last = frames[-1]
    return json.dumps(frames, separators=(",", ":")), last["seq"], last["first"] + last["lines"] - 1


@database_sync_to_async
def read_state(pk: int) -> State | None:
    """Read a job and its steps; None: it is gone."""
    job = Job.objects.filter(pk=pk).first()
    if job is None:
        return None
    frame = job_frame(job, list(JobStep.objects.filter(job=job).defer("change")))
    return frame, [(json.dumps(step, sort_keys=True), step) for step in frame.pop("all_steps")]

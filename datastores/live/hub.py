"""The bell of all jobs, heard once in this process for everybody who listens.

Two hundred pages hear of fifty changes a second: if each heard, read and wrote by itself, the process would do nothing
else. So what rings is gathered for a moment, read with one query, and written once for each person.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import DatabaseError

from datastores.jobs.doorbell import FEED
from datastores.jobs.kinds import KINDS
from datastores.jobs.view import job_summary
from datastores.models import AuditEntry, Job, User

logger = logging.getLogger(__name__)
PAUSE = 2.0
"""Seconds until jobs that could not be read are read again."""
APART = 0.00125
"""Seconds from one telling to the next for each who listens: who is alone hears all at once, two hundred hear four
times a second. The first bell after a silence is told at once."""


@dataclass(slots=True)
class News:
    """Jobs that changed, as they are now, with what is told of each to everybody who may see it."""

    jobs: list[tuple[Job, dict[str, Any]]]
    _texts: dict[tuple[int, bool, bool], str] = field(default_factory=dict)

    def text_for(self, user: User) -> str:
        """Return the message for a person: a frame, or an array of frames; "": nothing that they may see."""
        key = (user.pk, user.is_active, user.sees_everything)
        if key not in self._texts:
            frames = [{**frame, "mine": job.user_id == user.pk} for job, frame in self.jobs if job.is_visible_to(user)]
            self._texts[key] = json.dumps(frames[0] if len(frames) == 1 else frames, separators=(",", ":")) * bool(
                frames
            )
        return self._texts[key]

    @property
    def ended(self) -> list[str]:
        return [frame["uuid"] for _, frame in self.jobs if frame["ended"]]


class Listener(Protocol):
    """Who is told. Neither may take long: the others wait."""

    def hear(self, news: News) -> None: ...

    async def give_up(self) -> None:
        """Nothing more will be heard."""


class Hub:
    """Wakes all listeners of this process with what rang. It hears only while there are some."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._opened: asyncio.Task[str] | None = None
        self._working: asyncio.Task[None] | None = None
        self._rang: dict[str, None] = {}
        self._stirred = asyncio.Event()

    async def join(self, listener: Listener) -> None:
        """Let it be told of every bell from now on."""
        if not self._listeners:
            self._opened = asyncio.ensure_future(open_channel())
            self._working = asyncio.ensure_future(self._work(self._opened))
        self._listeners.add(listener)
        if self._opened:
            await asyncio.shield(self._opened)

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._working:
            self._working.cancel()
            self._working = None

    async def _work(self, opened: asyncio.Task[str]) -> None:
        """Hear and tell until cancelled; when that fails, the listeners come back by themselves."""
        channel = ""
        try:
            channel = await opened
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(channel))
                tasks.create_task(self._tell())
        except Exception:
            logger.exception("the bell of all jobs is not heard any more")
            left, self._listeners, self._working = self._listeners, set(), None
            await asyncio.gather(*(listener.give_up() for listener in left))
        finally:
            if channel:
                await get_channel_layer().group_discard(FEED, channel)

    async def _hear(self, channel: str) -> None:
        layer = get_channel_layer()
        while True:
            bell = await layer.receive(channel)
            self._rang[bell["uuid"]] = None  # what rang is another dict after each telling
            self._stirred.set()

    async def _tell(self) -> None:
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            rang, self._rang = self._rang, {}
            try:
                news = await read_news(rang)
            except DatabaseError:
                logger.exception("the jobs that rang could not be read; they are read with the next")
                self._rang = {**rang, **self._rang}
                self._stirred.set()
                await asyncio.sleep(PAUSE)
            else:
                for listener in list(self._listeners):
                    listener.hear(news)
            await asyncio.sleep(APART * len(self._listeners))


async def open_channel() -> str:
    """Return a channel to which bells come from now on."""
    layer = get_channel_layer()
    channel: str = await layer.new_channel()
    await layer.group_add(FEED, channel)
    return channel


@database_sync_to_async
def read_news(uuids: Iterable[str]) -> News:
    """Read jobs, in the order in which they rang; those that are gone are left out."""
    found = {str(job.uuid): job for job in Job.objects.filter(uuid__in=list(uuids)).order_by()}
    gone = forgotten(found.values())
    jobs = [found[uuid] for uuid in uuids if uuid in found]
    return News([(job, job_summary(job, gone.get(job.uuid, ()))) for job in jobs])


def forgotten(jobs: Iterable[Job]) -> dict[UUID, list[str]]:
    """Return, of jobs that have ended, what they were about and forgot when it was deleted: the audit trail knows."""
    lost = [job.uuid for job in jobs if job.ended and has_lost_its_target(job)]
    if not lost:
        return {}
    entries = AuditEntry.objects.filter(job_uuid__in=lost, result="asked").order_by("seq")
    return {
        uuid: [f"{name}:{key}" for name, key in detail.get("about", {}).items()]
        for uuid, detail in entries.values_list("job_uuid", "detail")
    }


def has_lost_its_target(job: Job) -> bool:
    case = KINDS.get(job.kind)
    return case is not None and any(getattr(job, f"{name}_id") is None for name in case.targets)

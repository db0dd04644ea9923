"""Small news of all jobs, for every page that is open: "disk:17 is another one now", "3 jobs run".

A thousand jobs ring three times each, and a hundred browsers hear it. So those who ask of the same job at the same
moment share a read, and the number of running jobs is counted a few times a second at most.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from channels.db import database_sync_to_async
from django.utils import timezone

from datastores.domain.states import UNDER_WAY
from datastores.jobs.view import job_summary
from datastores.live.consumers import STATE_SECONDS, Consumer
from datastores.live.pages import Shared
from datastores.models import Job, User

REPLAYED = timedelta(seconds=45)
"""Longer than two heartbeats of a browser."""
MOST_REPLAYED = 50


class FeedConsumer(Consumer):
    """The news of the jobs that the person may see."""

    async def opened(self) -> None:
        """A page may have been made just before a job ended, and the socket after that."""
        self.told: set[str] = set()
        self.stirred = asyncio.Event()
        await self.channel_layer.group_add("feed", self.channel_name)
        await self._catch_up()
        self.start(self._show_count())

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("feed", self.channel_name)

    async def feed_job(self, message: dict[str, Any]) -> None:
        """A worker rang."""
        await self._tell(message["uuid"])
        self.stirred.set()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The browser's heartbeat makes up for a lost bell."""
        await self._catch_up()
        await self.send_frame({"type": "pong"})

    async def _catch_up(self) -> None:
        """Tell how many jobs run, and of those that ended lately, unless that was told."""
        await self._send_count()
        lately = await database_sync_to_async(ended_lately)(self.user)
        for uuid in lately:
            if uuid not in self.told:
                await self._tell(uuid, replay=True)
        self.told.intersection_update(lately)

    async def _tell(self, uuid: str, **more: Any) -> None:
        found = await news.ask(uuid)
        if found is None or not found[0].is_visible_to(self.user):
            return
        job, frame = found
        if frame["ended"]:
            self.told.add(uuid)
        await self.send_frame({**frame, "mine": job.user_id == self.user.pk, **more})

    async def _show_count(self) -> None:
        while True:
            await self.stirred.wait()
            self.stirred.clear()
            await self._send_count()

    async def _send_count(self) -> None:
        running = await counts.ask(None if self.user.sees_everything else self.user.pk)
        await self.send_frame({"type": "count", "running": running})


@database_sync_to_async
def read_news(uuid: str) -> tuple[Job, dict[str, Any]] | None:
    """Return a job and what is told of it to everybody who may see it; None: it is gone."""
    job = Job.objects.filter(uuid=uuid).order_by().first()
    return (job, job_summary(job)) if job else None


@database_sync_to_async
def count_running(owner: int | None) -> int:
    """Return how many jobs are under way; of this person, or of all."""
    running = Job.objects.filter(state__in=UNDER_WAY)
    return (running if owner is None else running.filter(user=owner)).count()


def ended_lately(user: User) -> list[str]:
    """Return the UUIDs of the jobs that ended a moment ago, of those that the person may see."""
    since = timezone.now() - REPLAYED
    ended = Job.objects.visible_to(user).filter(ended_at__gte=since).order_by("-ended_at")
    return [str(uuid) for uuid in ended.values_list("uuid", flat=True)[:MOST_REPLAYED]]


news = Shared(read_news)
counts = Shared(count_running, apart=STATE_SECONDS)

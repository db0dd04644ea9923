"""Small news of all jobs, for every page that is open: "disk:17 is another one now", "3 jobs run".

A thousand jobs ring three times each, and a hundred browsers hear it. So what rings is heard, read and written for all
of them (``hub.py``), and the number of running jobs is counted a few times a second at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import Any

from channels.db import database_sync_to_async
from django.utils import timezone

from datastores.domain.states import UNDER_WAY
from datastores.jobs.watching import queue_answers
from datastores.live.consumers import BROKEN, Consumer
from datastores.live.hub import Hub, News, read_news
from datastores.live.pages import Shared
from datastores.models import Job, User
from datastores.services.counts import counts

REPLAYED = timedelta(seconds=45)
"""Longer than two heartbeats of a browser."""
MOST_REPLAYED = 50
COUNT_SECONDS, COUNTS_APART = 1.0, 0.5
"""From one telling of the counts to the next, and from one reading of them, for all who are told the same."""
Counted = dict[str, Any]
MOST_UNSENT = 100
"""News that a slow browser may leave waiting."""


class FeedConsumer(Consumer):
    """The news of the jobs that the person may see."""

    async def opened(self) -> None:
        """A page may have been made just before a job ended, and the socket after that."""
        self.told: set[str] = set()
        self.counted: Counted | None = None
        self.heard: deque[News] = deque()
        self.rang, self.stirred = asyncio.Event(), asyncio.Event()
        await hub.join(self)
        await self._catch_up()
        self.start(self._show_news())
        self.start(self._show_count())

    def closed(self) -> None:
        hub.leave(self)

    def hear(self, news: News) -> None:
        """Workers rang. Who cannot follow is sent away, and reads what is in sight when it comes back."""
        if len(self.heard) >= MOST_UNSENT:
            self.start(self.give_up())
            return
        self.heard.append(news)
        self.rang.set()
        self.stirred.set()

    async def give_up(self) -> None:
        await self.close(BROKEN)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The browser's heartbeat makes up for a lost bell."""
        await self._catch_up()
        await self.send_frame({"type": "pong"})

    async def _catch_up(self) -> None:
        """Tell how many jobs run, and of those that ended lately, unless that was told."""
        await self._send_count()
        lately = await database_sync_to_async(ended_lately)(self.user)
        if untold := [uuid for uuid in lately if uuid not in self.told]:
            for job, frame in (await read_news(untold)).jobs:
                self.told.add(frame["uuid"])
                await self.send_frame({**frame, "mine": job.user_id == self.user.pk, "replay": True})
        self.told.intersection_update(lately)

    async def _show_news(self) -> None:
        """Send what is heard; a slow browser slows down only this loop."""
        while True:
            await self.rang.wait()
            self.rang.clear()
            while self.heard:
                news = self.heard.popleft()
                self.told.update(news.ended)
                if text := news.text_for(self.user):
                    await self.send(text)

    async def _show_count(self) -> None:
        while True:
            await self.stirred.wait()
            self.stirred.clear()
            await self._send_count()
            await asyncio.sleep(COUNT_SECONDS)

    async def _send_count(self) -> None:
        counted = await shared_counts.ask(None if self.user.sees_everything else self.user.pk)
        if counted != self.counted:
            self.counted = counted
            await self.send_frame({"type": "count", **counted})


@database_sync_to_async
def count(owner: int | None) -> Counted:
    """Return how many jobs are under way, the counts of the navigation, and whether the queue answers.

    ``owner``: None for everybody who sees everything.
    """
    user = User(role=User.Role.ADMIN) if owner is None else User.objects.get(pk=owner)
    running = Job.objects.visible_to(user).filter(state__in=UNDER_WAY).count()
    places = {name: [each.number, each.bad] for name, each in counts(user).items()}
    return {"running": running, "places": places, "queue": queue_answers()}


def ended_lately(user: User) -> list[str]:
    """Return the UUIDs of the jobs that ended a moment ago, of those that the person may see."""
    since = timezone.now() - REPLAYED
    ended = Job.objects.visible_to(user).filter(ended_at__gte=since).order_by("-ended_at")
    return [str(uuid) for uuid in ended.values_list("uuid", flat=True)[:MOST_REPLAYED]]


hub = Hub()
shared_counts = Shared(count, apart=COUNTS_APART)

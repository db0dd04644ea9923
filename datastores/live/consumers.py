"""Sockets of the browser. A message from a worker is a doorbell; what is sent always comes from the database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from datastores.domain.values import whole
from datastores.live.pages import LogPages, Shared, read_state
from datastores.models import Job, User

logger = logging.getLogger(__name__)
FORBIDDEN, GONE = 4403, 4404
BROKEN = 1011
"""Something failed here; the browser comes back by itself, and asks for what it has not got."""
PERMISSION_SECONDS = 4
STATE_SECONDS = 0.25
log_pages = LogPages()
job_states = Shared(read_state, apart=STATE_SECONDS)


class Consumer(AsyncWebsocketConsumer):
    """Accepts only people, and asks every few seconds whether they still may see this."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one socket. Its tasks end with it, however it ends."""
        self.tasks: set[asyncio.Task[None]] = set()
        self.over = False
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.over = True
            for task in list(self.tasks):
                task.cancel()
            self.closed()

    def closed(self) -> None:
        """The socket has ended, in whatever way; ``disconnect`` does not come when something failed here."""

    async def connect(self) -> None:
        self.user = self.scope["user"]
        if not await self.permitted():
            await self.close(FORBIDDEN)
            return
        await self.accept()
        await self.opened()
        self.start(self._watch_permission())

    async def opened(self) -> None:
        raise NotImplementedError

    @database_sync_to_async
    def permitted(self) -> bool:
        """Tell whether the person is still who they were and may see this."""
        if not self.user.is_authenticated:
            return False
        fresh = User.objects.filter(pk=self.user.pk, is_active=True).first()
        session = self.scope["session"]
        if fresh is None or fresh.password != self.user.password or not session.exists(session.session_key):
            return False
        self.user = fresh
        return self.may_see()

    def may_see(self) -> bool:
        return True

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Work beside the socket; one whose work fails is closed, for it would be open and blind."""
        task = asyncio.ensure_future(self._until_it_fails(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _until_it_fails(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            if not self.over:
                logger.exception("%s is closed", type(self).__name__)
                await self.close(BROKEN)

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the socket once; what its tasks cannot send any more is no failure."""
        if not self.over:
            self.over = True
            with contextlib.suppress(OSError):  # the browser has closed it before us
                await super().close(code, reason)

    async def _watch_permission(self) -> None:
        while True:
            await asyncio.sleep(PERMISSION_SECONDS)
            if not await self.permitted():
                await self.close(FORBIDDEN)
                return

    async def send(self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False) -> None:
        """Send, unless we have closed the socket, or the browser has: then ``disconnect`` comes."""
        if not self.over:
            with contextlib.suppress(OSError):
                await super().send(text_data, bytes_data, close)

    async def send_frame(self, frame: dict[str, Any]) -> None:
        await self.send(json.dumps(frame, separators=(",", ":")))


class JobConsumer(Consumer):
    """Every stored entry after ``?after=N``, once and in order, and the state of the job and its steps."""

    async def connect(self) -> None:
        query = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        self.sent = whole(query.get("after", ["0"])[0]) or 0
        self.job_pk = 0
        self.seen: dict[int, str] = {}
        self.wake, self.stirred = asyncio.Event(), asyncio.Event()
        await super().connect()

    def may_see(self) -> bool:
        job = Job.objects.visible_to(self.user).filter(uuid=self.scope["url_route"]["kwargs"]["uuid"]).first()
        self.job_pk = job.pk if job else 0
        return job is not None

    async def opened(self) -> None:
        group = f"job.{self.scope['url_route']['kwargs']['uuid']}"
        await self.channel_layer.group_add(group, self.channel_name)
        self.group = group
        self.stir()
        self.start(self._follow())
        self.start(self._show_state())

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "group"):
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def job_events(self, message: dict[str, Any]) -> None:
        """A worker rang."""
        self.stir()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The browser's heartbeat makes up for a lost bell."""
        self.stir()
        await self.send_frame({"type": "pong"})

    def stir(self) -> None:
        self.wake.set()
        self.stirred.set()

    async def _follow(self) -> None:
        """Send what is new whenever the bell rang; a slow browser slows down only this loop."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while page := await log_pages.after(self.job_pk, self.sent):
                frames, self.sent, total = page
                await self.send(f'{{"type":"events","events":{frames},"seq":{self.sent},"total":{total}}}')

    async def _show_state(self) -> None:
        """Send the state of the job and of the steps that changed, a few times a second at most."""
        while True:
            await self.stirred.wait()
            self.stirred.clear()
            state = await job_states.ask(self.job_pk)
            if state is not None:
                frame, steps = state
                await self.send_frame({**frame, "changed": self._changed(steps)})

    def _changed(self, steps: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        """Return the steps that look different from what this browser was told last."""
        changed = [(text, step) for text, step in steps if self.seen.get(step["index"]) != text]
        self.seen.update({step["index"]: text for text, step in changed})
        return [step for _, step in changed]

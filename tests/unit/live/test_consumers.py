"""Sockets: every entry once and in order, and never an open socket that nobody serves."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.db import OperationalError

from datastores.jobs.doorbell import group_of
from datastores.jobs.view import PAGE_CHARACTERS
from datastores.live import consumers
from datastores.live import pages as pages_module
from datastores.live.pages import LogPages, Shared
from datastores.models import Job, User
from tests.unit.conftest import a_job, a_step, write_log
from tests.unit.live.conftest import Open, received

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "PERMISSION_SECONDS", 0.05)


@pytest.fixture
def job(admin: User) -> Job:
    """Two entries, two steps."""
    job = a_job(admin, state="running")
    write_log(job, "a", "b")
    a_step(job)
    a_step(job)
    return job


async def fail(*_: object) -> Any:
    raise OperationalError("database is locked")


async def close_code(socket: WebsocketCommunicator) -> int:
    """Return the code with which the server closes."""
    while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
        pass
    code: int = message["code"]
    return code


async def ring(job: Job, seq: int) -> None:
    await get_channel_layer().group_send(group_of(job.uuid), {"type": "job.events", "seq": seq})


async def test_entries_come_once_and_in_order(job: Job, open_socket: Open) -> None:
    socket = open_socket(f"/ws/jobs/{job.uuid}/?after=1")
    assert (await socket.connect())[0]
    assert [event["text"] for event in (await received(socket, "events"))["events"]] == ["b"]
    await sync_to_async(write_log)(job, "c")
    await ring(job, 3)
    frame = await received(socket, "events")
    assert ([event["text"] for event in frame["events"]], frame["seq"], frame["total"]) == (["c"], 3, 3)


async def test_a_heartbeat_makes_up_for_a_lost_bell(job: Job, open_socket: Open) -> None:
    socket = open_socket(f"/ws/jobs/{job.uuid}/?after=2")
    await socket.connect()
    await received(socket, "job")
    await sync_to_async(write_log)(job, "c")
    await socket.send_to(text_data='{"type":"ping"}')
    assert (await received(socket, "events"))["seq"] == 3


async def test_only_the_steps_that_changed_are_told_again(job: Job, open_socket: Open) -> None:
    socket = open_socket(f"/ws/jobs/{job.uuid}/")
    await socket.connect()
    assert [step["index"] for step in (await received(socket, "job"))["changed"]] == [0, 1]
    await job.steps.filter(index=1).aupdate(state="running")
    await ring(job, 0)
    frame = await received(socket, "job")
    assert [(step["index"], step["state"]) for step in frame["changed"]] == [(1, "running")]
    assert frame["steps"] == 2


class TestClosing:
    async def test_a_deactivated_account_is_shut_out(self, job: Job, admin: User, open_socket: Open) -> None:
        socket = open_socket(f"/ws/jobs/{job.uuid}/")
        await socket.connect()
        await User.objects.filter(pk=admin.pk).aupdate(is_active=False)
        assert await close_code(socket) == consumers.FORBIDDEN

    @pytest.mark.parametrize("path", ["/ws/jobs/{}/", "/ws/feed/"])
    async def test_a_permission_that_cannot_be_asked_for_is_none(
        self, job: Job, open_socket: Open, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        socket = open_socket(path.format(job.uuid))
        await socket.connect()
        monkeypatch.setattr(consumers.Consumer, "permitted", fail)
        assert await close_code(socket) == consumers.BROKEN

    @pytest.mark.parametrize("part", ["log_pages", "job_states"])
    async def test_what_cannot_follow_its_job_is_closed_so_that_the_browser_comes_again(
        self, job: Job, open_socket: Open, monkeypatch: pytest.MonkeyPatch, part: str
    ) -> None:
        socket = open_socket(f"/ws/jobs/{job.uuid}/?after=2")
        await socket.connect()
        await received(socket, "job")
        monkeypatch.setattr(consumers, part, type("Broken", (), {"after": fail, "ask": fail})())
        await ring(job, 3)
        assert await close_code(socket) == consumers.BROKEN

    async def test_nothing_works_on_for_a_socket_that_has_gone(self, job: Job, open_socket: Open) -> None:
        socket = open_socket(f"/ws/jobs/{job.uuid}/")
        await socket.connect()
        await received(socket, "job")
        await socket.disconnect()
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() if "_until_it_fails" in repr(task.get_coro())]


class Slow:
    """A read that ends when it is told, and finds what was there when it began."""

    def __init__(self) -> None:
        self.begun, self.stored = 0, "old"
        self.go = asyncio.Event()

    async def __call__(self, key: int) -> str:
        self.begun += 1
        found = self.stored
        await self.go.wait()
        return found


class TestSharing:
    async def test_who_asks_at_the_same_moment_shares_one_read(self) -> None:
        read = Slow()
        shared = Shared(read)
        read.go.set()
        assert await asyncio.gather(*(shared.ask(1) for _ in range(200))) == ["old"] * 200
        assert read.begun == 1

    async def test_nobody_gets_an_answer_that_was_begun_before_they_asked(self) -> None:
        read = Slow()
        shared = Shared(read)
        early = asyncio.ensure_future(shared.ask(1))
        await asyncio.sleep(0.01)
        read.stored = "new"
        late = [asyncio.ensure_future(shared.ask(1)) for _ in range(200)]
        await asyncio.sleep(0.01)
        read.go.set()
        assert await early == "old"
        assert await asyncio.gather(*late) == ["new"] * 200
        assert read.begun == 2

    async def test_a_failed_read_fails_for_all_who_asked_and_not_for_the_next(self) -> None:
        shared = Shared(fail)
        with pytest.raises(OperationalError):
            await shared.ask(1)
        shared._read = Slow()
        shared._read.go.set()
        assert await shared.ask(1) == "old"

    async def test_one_who_leaves_takes_the_answer_from_nobody(self) -> None:
        read = Slow()
        shared = Shared(read)
        leaver, stayer = asyncio.ensure_future(shared.ask(1)), asyncio.ensure_future(shared.ask(1))
        await asyncio.sleep(0.01)
        leaver.cancel()
        read.go.set()
        assert await stayer == "old"

    async def test_reads_keep_their_distance(self) -> None:
        read = Slow()
        read.go.set()
        shared = Shared(read, apart=0.05)
        loop = asyncio.get_running_loop()
        await shared.ask(1)
        began = loop.time()
        await shared.ask(1)
        assert loop.time() - began > 0.04

    async def test_a_page_is_kept_but_that_nothing_follows_is_not(self, job: Job) -> None:
        pages = LogPages()
        first = await pages.after(job.pk, 0)
        assert first is not None and first[1:] == (2, 2)
        assert await pages.after(job.pk, 0) is first
        assert await pages.after(job.pk, 2) is None
        await sync_to_async(write_log)(job, "c")
        assert await pages.after(job.pk, 2) is not None


class TestPagesOfALogWithLongLines:
    @pytest.fixture
    def long(self, admin: User) -> Job:
        """Forty entries of half a megabyte."""
        job = a_job(admin, state="running")
        write_log(job, *["x" * 8191 + "\n" + "y" * (PAGE_CHARACTERS // 2 - 8192)] * 40)
        return job

    async def test_a_page_ends_at_about_a_megabyte(self, long: Job) -> None:
        pages, seq, seen = LogPages(), 0, 0
        while page := await pages.after(long.pk, seq):
            frames, seq, total = page
            assert len(frames) < 1.1 * PAGE_CHARACTERS
            seen += len(json.loads(frames))
            assert total == 2 * seen
        assert seen == 40

    async def test_the_pages_that_are_kept_are_bounded_by_their_characters(
        self, long: Job, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages_module, "CACHED_CHARACTERS", 5 << 20)
        pages, seq = LogPages(), 0
        while page := await pages.after(long.pk, seq):
            seq = page[1]
        assert len(pages._pages) == 4
        assert pages._characters == sum(len(frames) for frames, *_ in pages._pages.values())


@pytest.mark.parametrize("after", ["²", "x", "-1", "1" + "0" * 30])
async def test_nonsense_for_a_place_in_the_log_is_its_beginning(job: Job, open_socket: Open, after: str) -> None:
    socket = open_socket(f"/ws/jobs/{job.uuid}/?after={quote(after)}")
    assert (await socket.connect())[0]
    assert (await received(socket, "events"))["seq"] == 2

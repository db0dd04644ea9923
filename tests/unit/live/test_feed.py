"""The feed of every page: news of the jobs that its person may see, read once for all who hear the bell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from django.db import OperationalError

from datastores.jobs.doorbell import FEED
from datastores.live import feed, hub
from datastores.models import Job, User
from datastores.models.audit import record
from tests.unit.conftest import a_job, an_image
from tests.unit.live.conftest import Open, frames_of, received

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(admin: User) -> Job:
    return a_job(admin, state="running")


async def ring(job: Job) -> None:
    await get_channel_layer().group_send(FEED, {"type": "feed.job", "uuid": str(job.uuid)})


async def test_a_page_hears_at_once_how_many_jobs_run(job: Job, open_socket: Open) -> None:
    socket = open_socket("/ws/feed/")
    await socket.connect()
    assert (await received(socket, "count"))["running"] == 1
    await Job.objects.filter(pk=job.pk).aupdate(state="interrupted")
    await socket.send_to(text_data='{"type":"ping"}')
    assert (await received(socket, "count"))["running"] == 0


async def test_it_hears_how_many_jobs_run_when_one_has_changed(job: Job, open_socket: Open) -> None:
    socket = open_socket("/ws/feed/")
    await socket.connect()
    assert (await received(socket, "count"))["running"] == 1
    await Job.objects.filter(pk=job.pk).aupdate(state="succeeded")
    await ring(job)
    news = await received(socket, "job")
    assert (news["state"], news["ended"], news["mine"]) == ("succeeded", True, True)
    assert (await received(socket, "count"))["running"] == 0


async def test_it_hears_how_many_there_are_of_what_the_person_may_see(job: Job, alice: User, open_socket: Open) -> None:
    sockets = [open_socket("/ws/feed/"), open_socket("/ws/feed/", alice)]
    for socket in sockets:
        await socket.connect()
        assert (await received(socket, "count"))["places"]["image-list"] == [0, False]
    await sync_to_async(an_image)(job.user)
    await ring(job)
    assert (await received(sockets[0], "count"))["places"]["image-list"] == [1, False]
    await sync_to_async(an_image)(alice, "mine")
    await ring(await sync_to_async(a_job)(alice, state="running"))
    theirs = (await received(sockets[1], "count"))["places"]
    assert (theirs["image-list"], "host-list" in theirs) == ([1, False], False)


async def test_a_tenant_hears_of_no_job_of_others(job: Job, alice: User, open_socket: Open) -> None:
    mine = await sync_to_async(a_job)(alice, state="running")
    socket = open_socket("/ws/feed/", alice)
    await socket.connect()
    assert (await received(socket, "count"))["running"] == 1
    await ring(job)
    await ring(mine)
    assert (await received(socket, "job"))["uuid"] == str(mine.uuid)


async def test_an_admin_is_told_whose_job_it_is(alice: User, open_socket: Open) -> None:
    theirs = await sync_to_async(a_job)(alice, state="running")
    socket = open_socket("/ws/feed/")
    await socket.connect()
    assert await received(socket, "count")
    await ring(theirs)
    assert not (await received(socket, "job"))["mine"]


async def test_bells_are_read_once_for_all_who_hear_them(
    job: Job, alice: User, open_socket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = hub.read_news, []

    async def counted(uuids: Any) -> Any:
        reads.append(list(uuids))
        return await read(uuids)

    monkeypatch.setattr(hub, "read_news", counted)
    monkeypatch.setattr(hub, "APART", 0.02)
    other = await sync_to_async(a_job)(alice, state="running")
    sockets = [open_socket("/ws/feed/") for _ in range(5)]
    for socket in sockets:
        await socket.connect()
    await asyncio.gather(*(received(socket, "count") for socket in sockets))
    for _ in range(20):
        await ring(job)
        await ring(other)
    for socket in sockets:
        news = frames_of(socket, "job")
        assert {(await anext(news))["uuid"], (await anext(news))["uuid"]} <= {str(job.uuid), str(other.uuid)}
    await asyncio.sleep(0.3)
    assert len(reads) <= 4
    assert {uuid for read_together in reads for uuid in read_together} == {str(job.uuid), str(other.uuid)}


async def test_the_last_state_is_told_however_often_it_rings(job: Job, open_socket: Open) -> None:
    socket = open_socket("/ws/feed/")
    await socket.connect()
    assert await received(socket, "count")
    for state in ("interrupted", "queued", "running", "succeeded"):
        await Job.objects.filter(pk=job.pk).aupdate(state=state)
        await ring(job)
    states = [news["state"] async for news in until_ended(socket)]
    assert states[-1] == "succeeded"


async def until_ended(socket: Any) -> AsyncIterator[Any]:
    async for news in frames_of(socket, "job"):
        yield news
        if news["ended"]:
            return


async def test_together_with_others_a_tenant_hears_of_his_own_only(job: Job, alice: User, open_socket: Open) -> None:
    mine = await sync_to_async(a_job)(alice, state="running")
    news = await hub.read_news([str(job.uuid), str(mine.uuid), str(uuid4())])
    assert json.loads(news.text_for(alice))["uuid"] == str(mine.uuid)
    both = json.loads(news.text_for(job.user))
    assert [(frame["uuid"], frame["mine"]) for frame in both] == [(str(job.uuid), True), (str(mine.uuid), False)]
    alice.is_active = False
    assert news.text_for(alice) == ""


async def test_every_bell_is_told_also_after_a_silence(job: Job, open_socket: Open) -> None:
    socket = open_socket("/ws/feed/")
    await socket.connect()
    assert await received(socket, "count")
    for _ in range(3):
        await ring(job)
        assert (await received(socket, "job"))["uuid"] == str(job.uuid)
        await asyncio.sleep(0.1)


def test_what_a_job_deleted_is_told_though_the_job_has_forgotten_it(admin: User) -> None:
    image = an_image(admin)
    gone = a_job(admin, "image.delete", image=image, state="running")
    record("image.delete", user=admin, job=gone)
    kept = a_job(admin, "image.checksum", image=an_image(admin, "other"))
    Job.objects.filter(pk=gone.pk).update(state="succeeded")
    name = f"image:{image.pk}"
    image.delete()
    news = async_to_sync(hub.read_news)([str(gone.uuid), str(kept.uuid)])
    assert [name in frame["objects"] for _, frame in news.jobs] == [True, False]


async def test_nobody_listens_when_the_last_page_is_closed(job: Job, open_socket: Open) -> None:
    first, second = open_socket("/ws/feed/"), open_socket("/ws/feed/")
    await first.connect()
    await second.connect()
    assert await received(second, "count")
    await first.disconnect()
    await ring(job)
    assert (await received(second, "job"))["uuid"] == str(job.uuid)
    await second.disconnect()
    await asyncio.sleep(0.05)
    assert not get_channel_layer().groups.get(FEED)
    third = open_socket("/ws/feed/")
    await third.connect()
    assert await received(third, "count")
    await ring(job)
    assert (await received(third, "job"))["uuid"] == str(job.uuid)


async def test_who_hears_nothing_any_more_is_closed_and_comes_back(
    job: Job, open_socket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(uuids: Any) -> Any:
        raise OSError("the database is away")

    socket = open_socket("/ws/feed/")
    await socket.connect()
    assert await received(socket, "count")
    with monkeypatch.context() as fault:
        fault.setattr(hub, "read_news", broken)
        await ring(job)
        assert (await socket.receive_output(timeout=5)) == {"type": "websocket.close", "code": 1011}
    again = open_socket("/ws/feed/")
    await again.connect()
    assert await received(again, "count")
    await ring(job)
    assert (await received(again, "job"))["uuid"] == str(job.uuid)


async def test_what_could_not_be_read_is_told_with_the_next(
    job: Job, open_socket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Any] = []

    async def at_the_second_time(uuids: Any) -> Any:
        reads.append(uuids)
        if len(reads) == 1:
            raise OperationalError("database is locked")
        return await read_news(uuids)

    socket = open_socket("/ws/feed/")
    await socket.connect()
    assert await received(socket, "count")
    read_news = hub.read_news
    monkeypatch.setattr(hub, "PAUSE", 0.05)
    monkeypatch.setattr(hub, "read_news", at_the_second_time)
    await ring(job)
    assert (await received(socket, "job"))["uuid"] == str(job.uuid)


@pytest.mark.parametrize("role", User.Role.values)
@pytest.mark.parametrize("is_active", [True, False])
def test_what_is_read_for_many_is_seen_by_the_same_people(job: Job, role: str, is_active: bool) -> None:
    for user in (User.objects.create(username="x", role=role, is_active=is_active), job.user):
        assert job.is_visible_to(user) == Job.objects.visible_to(user).filter(pk=job.pk).exists()


async def test_a_page_whose_catching_up_fails_is_forgotten(open_socket: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(user: User) -> list[str]:
        raise OperationalError("database is locked")

    socket = open_socket("/ws/feed/")
    await socket.connect()
    await received(socket, "count")
    monkeypatch.setattr(feed, "ended_lately", broken)
    await socket.send_to(text_data='{"type":"ping"}')
    with pytest.raises(OperationalError):
        await socket.wait(2)
    assert not feed.hub._listeners


async def test_who_cannot_follow_is_sent_away_and_misses_nothing_unnoticed(
    job: Job, open_socket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_UNSENT", 0)
    socket = open_socket("/ws/feed/")
    await socket.connect()
    await received(socket, "count")
    await ring(job)
    while (message := await socket.receive_output(5))["type"] != "websocket.close":
        assert message["type"] == "websocket.send"
    assert message["code"] == feed.BROKEN


async def test_a_page_hears_when_the_queue_does_not_answer(
    job: Job, open_socket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "queue_answers", lambda: False)
    socket = open_socket("/ws/feed/")
    await socket.connect()
    assert (await received(socket, "count"))["queue"] is False
    monkeypatch.setattr(feed, "queue_answers", lambda: True)
    await socket.send_to(text_data='{"type":"ping"}')
    assert (await received(socket, "count"))["queue"] is True

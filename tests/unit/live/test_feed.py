"""The feed of every page: news of the jobs that its person may see, read once for all who hear the bell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from datastores.jobs.doorbell import FEED
from datastores.live import feed
from datastores.models import Job, User
from tests.unit.conftest import a_job
from tests.unit.live.conftest import Open, received

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
    await ring(theirs)
    assert not (await received(socket, "job"))["mine"]


async def test_a_bell_is_one_read_for_all_who_hear_it(
    job: Job, open_socket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = feed.news._read, []

    async def counted(uuid: str) -> Any:
        reads.append(uuid)
        return await read(uuid)

    monkeypatch.setattr(feed.news, "_read", counted)
    sockets = [open_socket("/ws/feed/") for _ in range(5)]
    for socket in sockets:
        await socket.connect()
    await asyncio.gather(*(received(socket, "count") for socket in sockets))
    await ring(job)
    assert {(await received(socket, "job"))["uuid"] for socket in sockets} == {str(job.uuid)}
    assert len(reads) <= 2, "one that began before the last of them heard the bell, and one after it"


@pytest.mark.parametrize("role", User.Role.values)
@pytest.mark.parametrize("is_active", [True, False])
def test_what_is_read_for_many_is_seen_by_the_same_people(job: Job, role: str, is_active: bool) -> None:
    for user in (User.objects.create(username="x", role=role, is_active=is_active), job.user):
        assert job.is_visible_to(user) == Job.objects.visible_to(user).filter(pk=job.pk).exists()

"""Sockets: who may open one, and what closes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from datastores.live.consumers import FORBIDDEN
from datastores.management.visitor import Visitor
from datastores.models import Job, User
from tests.faults.installation import Installation
from tests.faults.watching import close_code

PASSWORD = "a-Long-enough-phrase-7"
PROMISED = 5.0
"""Seconds within which a revocation closes what is open."""


def person(site: Installation, name: str, role: str) -> Visitor:
    if not site.rows(User).filter(username=name).exists():
        site.press("/users/new/", username=name, role=role, password=PASSWORD)
    return Visitor(site.stack.url, name, PASSWORD)


@pytest.fixture
def open_sockets() -> Iterator[ExitStack]:
    """They are closed after the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def job(site: Installation) -> Job:
    return site.rows(Job).order_by("pk")[0]


def test_a_deactivation_a_logout_and_a_new_password_close_open_sockets_within_five_seconds(
    site: Installation, job: Job, open_sockets: ExitStack
) -> None:
    names = ("deactivated", "signed-out", "new-password")
    visitors = {name: person(site, name, "auditor") for name in names}
    keys = dict(site.rows(User).filter(username__in=names).values_list("username", "pk"))
    paths = [f"/ws/jobs/{job.uuid}/", "/ws/feed/"]
    ways = {(name, path): visitor.socket(path) for name, visitor in visitors.items() for path in paths}
    sockets = {which: open_sockets.enter_context(way) for which, way in ways.items()}
    bystander = open_sockets.enter_context(site.admin.socket(paths[0]))
    site.press(f"/users/{keys['deactivated']}/active/", confirm_name="deactivated")
    site.twin(visitors["signed-out"]).request("POST", "/logout/", {})
    site.press(f"/users/{keys['new-password']}/password/", password=PASSWORD[::-1])
    deadline = time.monotonic() + PROMISED
    codes = {which: close_code(each, seconds=deadline - time.monotonic()) for which, each in sockets.items()}
    assert codes == dict.fromkeys(sockets, FORBIDDEN)
    assert close_code(bystander, seconds=0.1) is None


@pytest.mark.parametrize("origin", ["https://elsewhere.example", None, "null"])
def test_a_socket_from_another_site_is_refused(site: Installation, job: Job, origin: str | None) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in site.admin.cookies.items())
    for path in (f"/ws/jobs/{job.uuid}/", "/ws/feed/"):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{site.admin.host}{path}", origin=origin, additional_headers={"Cookie": cookie})  # type: ignore[arg-type]
        assert refused.value.response.status_code == HTTPStatus.FORBIDDEN


def test_a_tenant_cannot_open_the_socket_of_anothers_job_nor_tell_that_there_is_one(
    site: Installation, job: Job
) -> None:
    tenant = person(site, "tenant", "tenant")
    answers = []
    for uuid in (job.uuid, "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(InvalidStatus) as refused:
            tenant.socket(f"/ws/jobs/{uuid}/")
        answers.append((refused.value.response.status_code, refused.value.response.body))
    assert answers[0] == answers[1] == (HTTPStatus.FORBIDDEN, answers[0][1])
    assert tenant.request("GET", f"/jobs/{job.uuid}/")[0] == HTTPStatus.NOT_FOUND


def test_nobody_opens_a_socket_without_a_session(site: Installation, job: Job) -> None:
    with pytest.raises(InvalidStatus):
        connect(f"ws://{site.admin.host}/ws/jobs/{job.uuid}/", origin=f"http://{site.admin.host}")  # type: ignore[arg-type]

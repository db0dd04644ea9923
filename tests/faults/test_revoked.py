"""Sockets: who may open one, and what closes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

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
def job(site: Installation) -> Job:
    return site.rows(Job).order_by("pk")[0]


@pytest.mark.parametrize("what", ["deactivated", "signed out", "new password"])
def test_a_revocation_closes_an_open_socket_within_five_seconds(site: Installation, job: Job, what: str) -> None:
    name = what.replace(" ", "-")
    visitor = person(site, name, "auditor")
    pk = site.rows(User).get(username=name).pk
    revoke: dict[str, Callable[[], object]] = {
        "deactivated": lambda: site.press(f"/users/{pk}/active/", confirm_name=name),
        "signed out": lambda: site.twin(visitor).request("POST", "/logout/", {}),
        "new password": lambda: site.press(f"/users/{pk}/password/", password=PASSWORD[::-1]),
    }
    with visitor.socket(f"/ws/jobs/{job.uuid}/") as log, visitor.socket("/ws/feed/") as feed:
        assert close_code(log, seconds=0.3) is None, "it is open to begin with"
        revoke[what]()
        begun = time.monotonic()
        assert close_code(log, seconds=PROMISED) == 4403
        assert close_code(feed, seconds=begun + PROMISED - time.monotonic()) == 4403


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

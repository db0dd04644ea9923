"""The first page, and finding things."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from datastores.domain.states import HostState, JobState
from datastores.models import User
from datastores.web.figures import percentile
from tests.unit.conftest import (
    GIB,
    a_datastore,
    a_disk,
    a_host,
    a_job,
    a_step,
    a_vm,
    an_image,
    signed_in,
    text_of,
)


def test_without_a_host_the_first_page_says_how_to_begin(admin: User, operator: User) -> None:
    page = text_of(signed_in(admin).get("/"))
    assert "Add your first host" in page
    assert "ssh-keygen -lf" in page
    assert "An admin adds the hosts" in text_of(signed_in(operator).get("/"))


def test_the_overview_says_what_is_wrong(admin: User) -> None:
    a_host("kvm-63", state=HostState.QUARANTINED)
    a_host("kvm-62", state=HostState.UNREACHABLE, error="no answer")
    a_datastore("files", total=100 * GIB, used=85 * GIB, free=15 * GIB)
    a_datastore("roomy", total=100 * GIB, used=80 * GIB)
    a_job(admin, title="Broken copy", state=JobState.FAILED, error="No space")
    a_job(admin, title="Half a move", state=JobState.INTERRUPTED)
    a_job(admin, title="New store", state=JobState.AWAITING)
    old = timezone.now() - timedelta(days=2)
    a_job(admin, title="Long ago", state=JobState.FAILED, created_at=old, ended_at=old)
    page = text_of(signed_in(admin).get("/")).split("Needs attention")[1].split("Running")[0]
    for words in ("kvm-63", "Compare the keys", "no answer", "files", "85 % used, 15 GiB free", "Broken copy",
                  "No space", "Half a move", "Resume or undo", "New store", "Look at the plan"):  # fmt: skip
        assert words in page, words
    assert "Long ago" not in page
    assert "roomy" not in page


def test_the_overview_counts(admin: User) -> None:
    a_datastore(total=1000 * GIB, used=250 * GIB)
    now = timezone.now()
    for milliseconds in range(10, 210, 10):
        a_job(admin, "disk.create", created_at=now - timedelta(milliseconds=milliseconds), ended_at=now)
    a_job(admin, "disk.create", state=JobState.FAILED)
    running = a_job(admin, title="Under way", state=JobState.RUNNING)
    a_step(running, state="changed", ended_at=now)
    a_step(running)
    page = text_of(signed_in(admin).get("/"))
    for words in ("250 GiB", "Used of 1000 GiB", "20 succeeded", "1 failed", "20 disks made", "0.2 s", "0.1 s",
                  "Under way", "1 of 2 steps"):  # fmt: skip
        assert words in page, words


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (95, 4.0), (1, 1.0), (100, 4.0)])
def test_percentiles(percent: int, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == expected
    assert percentile([], percent) is None


def test_a_tenant_sees_only_what_is_theirs(alice: User, bob: User, admin: User) -> None:
    image = an_image(bob, "secret-image")
    a_disk(image, a_vm(bob, "secret-vm"))
    a_job(bob, title="secret-job", state=JobState.RUNNING)
    a_job(admin, title="secret-failure", state=JobState.FAILED)
    client = signed_in(alice)
    for path in ("/", "/images/", "/vms/", "/jobs/", "/audit/", "/find/?q=secret", "/find/?q=h", "/images/register/"):
        page = text_of(client.get(path))
        assert "secret-" not in page, path
        assert str(image.datastore.hosts.get()) not in page or path == "/images/register/", path
    assert "no jobs running" in text_of(client.get("/"))


def test_finding(admin: User) -> None:
    image = an_image(admin, "golden")
    a_vm(admin, "golden-web")
    a_job(admin, title="Register golden")
    page = text_of(signed_in(admin).get("/find/?q=GOLD"))
    for words in (f"/images/{image.pk}/", "golden-web", "Register golden"):
        assert words in page
    assert "Nothing has that in its name" in text_of(signed_in(admin).get("/find/?q=zzz"))

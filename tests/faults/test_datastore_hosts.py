"""Hosts are added to a datastore, and taken out, while it is in use: really the same directory, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datastores.domain.states import JobState
from datastores.models import Datastore, Host, Job
from tests.faults.conftest import GOLDEN
from tests.faults.installation import Installation
from tests.faults.points import SHARED

OWN = "/srv/own"
"""A directory that each host has for itself."""


@pytest.fixture
def same(site: Installation) -> Iterator[Datastore]:
    """One whose directory is the same on all hosts."""
    site.machine("h1").run(["install", "-d", f"{SHARED}/disks"], check=True)
    datastore = site.datastore("same", f"{SHARED}/disks", kind="shared", mounted="nowhere")
    yield datastore
    site.discard_all(datastore)
    site.machine("h1").run(["rmdir", f"{SHARED}/disks"], check=True)


@pytest.fixture
def apart(site: Installation) -> Iterator[Datastore]:
    """One whose directory is another one on h2."""
    for name in ("h1", "h2"):
        site.machine(name).run(["install", "-d", OWN], check=True)
    datastore = site.datastore("apart", OWN, kind="shared", mounted="nowhere")
    yield datastore
    site.discard_all(datastore)


def change(site: Installation, datastore: Datastore, *wanted: str) -> Job:
    """Ask that these hosts, beside h1, use the datastore; return the job when its plan waits for approval."""
    shown = list(members(site, datastore)[1:])
    keys = dict(site.rows(Host).values_list("name", "pk"))
    fields = {"hosts": [keys[name] for name in wanted], "shown": [keys[name] for name in shown]}
    return site.in_state(site.ask(f"/datastores/{datastore.pk}/hosts/", **fields), JobState.AWAITING)


def members(site: Installation, datastore: Datastore) -> list[str]:
    rows = site.rows(Datastore.hosts.through).filter(datastore_id=datastore.pk)
    return list(rows.order_by("position").values_list("host__name", flat=True))


def test_a_host_that_sees_the_same_directory_is_added_and_taken_out_again(site: Installation, same: Datastore) -> None:
    job = change(site, same, "h2")
    image = site.image(same, "meanwhile", GOLDEN)  # made while the plan waits for a person
    assert members(site, same) == ["h1"]
    site.ask(f"/jobs/{job.uuid}/approve/")
    site.succeeded(job)
    assert members(site, same) == ["h1", "h2"]
    job = change(site, same)
    site.ask(f"/jobs/{job.uuid}/approve/")
    site.succeeded(job)
    assert members(site, same) == ["h1"]
    site.discard(image)


def test_a_host_that_has_another_directory_there_is_not_added(site: Installation, apart: Datastore) -> None:
    job = change(site, apart, "h2")
    site.ask(f"/jobs/{job.uuid}/approve/")
    error = site.failed(job, seconds=90).error
    assert "h2" in error and "taken back" in error, error
    assert members(site, apart) == ["h1"]
    for name in ("h1", "h2"):
        assert site.machine(name).run(["ls", "-A", OWN], check=True).stdout == ""

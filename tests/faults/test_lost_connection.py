"""The network, the SSH server or the power of a host goes away in the middle of a long copy."""

from __future__ import annotations

import time

from datastores.domain.states import EventKind, HostState, JobState
from datastores.models import Datastore, Host, Image, Job
from tests.faults.agreement import inside
from tests.faults.conftest import GOLDEN
from tests.faults.installation import Installation, wait_for
from tests.faults.test_hosts import NEW_KEY

KEY_FILES = ("/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub")


def output_of(site: Installation, job: Job) -> list[str]:
    return [line for event in site.events(job) if event.kind == EventKind.OUTPUT for line in event.text.split("\n")]


def assert_whole(lines: list[str], *, least: int) -> None:
    """No line of the chatter is missing or there twice."""
    assert len(lines) >= least
    assert lines == [f"line {number} of the copy" for number in range(1, len(lines) + 1)]


def test_a_cut_cable_and_a_dead_ssh_server_do_not_stop_a_copy_and_its_output_is_whole(
    site: Installation, xfs: Datastore
) -> None:
    machine = site.machine("h1")
    with site.points.holding("cp", GOLDEN, when="half") as point:
        job = site.register(xfs, "through a cut", GOLDEN)
        point.wait()
        point.chatter()
        wait_for(lambda: output_of(site, job), "the first lines")
        machine.cut()
        inside(machine, "sh", "-c", "pkill sshd; sleep 1; systemctl restart ssh")
        before = len(output_of(site, job))
        time.sleep(1)
        machine.heal()
        wait_for(lambda: len(output_of(site, job)) > before + 500, "lines after the cut", seconds=60)
    site.succeeded(job)
    assert site.fresh(job).attempts == 1
    assert_whole(output_of(site, job), least=500)
    site.discard(site.rows(Image).get(name="through a cut"))


def test_a_cancelled_copy_is_seen_gone_before_the_job_is_cancelled_and_leaves_nothing(
    site: Installation, xfs: Datastore
) -> None:
    with site.points.holding("cp", GOLDEN, when="half") as point:
        job = site.register(xfs, "cancelled", GOLDEN)
        point.wait()
        site.ask(f"/jobs/{job.uuid}/cancel/")
        ended = site.in_state(job, JobState.CANCELLED)
        assert point.file.exists(), "it was ended, it did not end by itself"
    assert "taken back" in ended.error
    assert not site.rows(Image).filter(name="cancelled").exists()


def test_a_host_that_goes_away_while_a_job_is_taken_back_is_waited_for(site: Installation, golden: Image) -> None:
    vm = site.vm("half taken back")
    job = site.succeeded(site.ask(f"/images/{golden.pk}/disks/", count=1, vm=vm.pk))
    with site.points.holding("rm", f"{golden.datastore.base}/{vm.pk}/disk.0") as point:
        site.undo(job)
        point.wait()
        inside(site.machine("h1"), "sh", "-c", "pkill sshd; systemctl restart ssh")
        site.in_state(job, JobState.INTERRUPTED)
    site.in_state(job, JobState.CANCELLED)
    site.discard(vm)


def test_a_power_cut_in_the_middle_of_a_copy_fails_the_job_and_leaves_nothing(
    site: Installation, xfs: Datastore
) -> None:
    machine = site.machine("h1")
    with site.points.holding("cp", GOLDEN, when="half") as point:
        job = site.register(xfs, "through a power cut", GOLDEN)
        point.wait()
        machine.power_off()
    machine.power_on()
    ended = site.failed(job, seconds=90)
    assert "restarted meanwhile" in ended.error and "taken back" in ended.error
    site.wait_for_hosts()
    site.succeeded(site.ask(f"/jobs/{job.uuid}/retry/"))
    site.discard(site.rows(Image).get(name="through a power cut"))


def test_a_host_that_comes_back_with_another_key_is_shut_off_and_its_copy_waits_for_the_new_key(
    site: Installation, xfs: Datastore
) -> None:
    machine = site.machine("h1")
    old = inside(machine, "cat", *KEY_FILES)
    with site.points.holding("cp", GOLDEN, when="half") as point:
        job = site.register(xfs, "with another key", GOLDEN)
        point.wait()
        inside(machine, "sh", "-c", NEW_KEY)
        waiting = site.in_state(job, JobState.INTERRUPTED)
        assert "is pinned. Nothing was sent to it." in waiting.error
        host = site.rows(Host).get(name="h1")
        assert host.state == HostState.QUARANTINED
        site.lab.up(3)
        site.pin(host, machine.host_key)
        site.succeeded(site.ask(f"/hosts/{host.pk}/read/"))
    site.in_state(job, JobState.INTERRUPTED, JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED)
    if site.fresh(job).state == JobState.INTERRUPTED:
        site.ask(f"/jobs/{job.uuid}/retry/")
    site.succeeded(job)
    assert old != inside(machine, "cat", *KEY_FILES)
    site.discard(site.rows(Image).get(name="with another key"))

"""Somebody changes hosts by hand: a scan finds each change, and a repair puts right what can be, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datastores.domain.states import HostState, JobState
from datastores.models import Datastore, Drift, DriftScan, Host, Image, Job
from datastores.services.placing import image_volume
from tests.faults.agreement import inside
from tests.faults.conftest import GOLDEN
from tests.faults.installation import Installation, wait_for
from tests.faults.test_lost_queue import kill_all_workers

BASE = "/srv/drifting"
KEYS = "/root/.ssh/authorized_keys"


@pytest.fixture
def store(site: Installation) -> Iterator[Datastore]:
    """A datastore on h1, of which nothing differs."""
    datastore = site.datastore("drifting", BASE, kind="shared", mounted="nowhere")
    yield datastore
    site.discard_all(datastore)


def by_hand(site: Installation, script: str, *words: str, host: str = "h1") -> str:
    """Do something on a host without anybody's knowing."""
    return inside(site.machine(host), "sh", "-euc", script, "sh", *words)


def scan(site: Installation) -> DriftScan:
    """Ask for a scan, and wait for it."""
    wait_for(lambda: not site.rows(DriftScan).filter(ended_at=None).exists(), "no scan is under way", seconds=120)
    site.press("/drift/scan/")
    asked = site.rows(DriftScan).first()
    assert asked
    return wait_for(
        lambda: site.rows(DriftScan).filter(pk=asked.pk).exclude(ended_at=None).first(), "the scan ends", seconds=120
    )


def found(site: Installation) -> set[tuple[str, str]]:
    """Make a scan; return what differs: what it is about, and its kind."""
    scan(site)
    return set(site.rows(Drift).filter(state=Drift.State.OPEN).values_list("label", "kind"))


def repaired(site: Installation, drift: Drift) -> Job:
    """Have it repaired as a person does: look at the plan, then apply it."""
    job = site.in_state(site.ask(f"/drift/{drift.pk}/repair/"), JobState.AWAITING)
    site.ask(f"/jobs/{job.uuid}/approve/")
    return site.succeeded(job)


def path_of(image: Image) -> str:
    return image_volume(image).path


def test_a_directory_that_lost_its_mode_is_put_right_and_nothing_else(site: Installation, store: Datastore) -> None:
    assert found(site) == set()
    by_hand(site, f"chmod 0700 {BASE}; echo theirs >{BASE}/notes; chmod 0640 {BASE}/notes")
    assert found(site) == {("drifting", "differs"), ("drifting", "foreign")}
    assert by_hand(site, f"stat -c %a {BASE}") == "700\n", "a scan changes nothing"
    repaired(site, site.rows(Drift).get(state="open", kind="differs"))
    assert by_hand(site, f"stat -c %a {BASE} {BASE}/notes; cat {BASE}/notes") == "755\n640\ntheirs\n"
    assert found(site) == {("drifting", "foreign")}
    assert site.rows(Drift).get(kind="differs").state == Drift.State.REPAIRED
    by_hand(site, f"rm {BASE}/notes")
    assert found(site) == set()
    assert site.rows(Drift).get(kind="foreign").state == Drift.State.GONE


def test_a_key_that_was_removed_comes_back_and_the_others_stay(site: Installation) -> None:
    """sshd takes keys from authorized_keys2 as well, so that it lets cloudstore in all the while."""
    before = by_hand(site, f"cp -p {KEYS} {KEYS}2; cat {KEYS}")
    by_hand(site, f"echo 'ssh-ed25519 {'A' * 68} theirs' >{KEYS}")
    try:
        assert found(site) == {("login as root", "differs")}
        job = repaired(site, site.rows(Drift).get(state="open"))
        keys = by_hand(site, f"cat {KEYS}").splitlines()
        assert keys[0].endswith(" theirs") and keys[1].split()[1] in before
        assert found(site) == set()
        site.ended(site.undo(job))
        assert by_hand(site, f"cat {KEYS}").splitlines() == keys[:1]
        assert found(site) == {("login as root", "differs")}
    finally:
        by_hand(site, f"mv -f {KEYS}2 {KEYS}; rm -f {KEYS}.cloudstore~")
    assert found(site) == set()


def test_masters_that_vanish_or_are_cut_off_are_found_and_never_touched(site: Installation, store: Datastore) -> None:
    gone, cut, whole = (site.image(store, name, GOLDEN) for name in ("gone", "cut", "whole"))
    assert found(site) == set()
    by_hand(site, 'mv "$1" /var/tmp/away; cp -p "$2" /var/tmp/kept; truncate -s 1M "$2"', path_of(gone), path_of(cut))
    assert found(site) == {("gone", "missing"), ("cut", "altered")}
    for row in site.rows(Drift).filter(state="open"):
        assert "nothing here that a step could put right" in site.refusal(f"/drift/{row.pk}/repair/")
    sizes = by_hand(site, 'stat -c %s "$1" "$2"', path_of(cut), path_of(whole)).split()
    assert sizes == [str(1 << 20), str(whole.virtual_size)]
    by_hand(site, 'mv /var/tmp/away "$1"; cp -p /var/tmp/kept "$2"; rm /var/tmp/kept', path_of(gone), path_of(cut))
    assert found(site) == set()
    by_hand(site, 'printf x | dd of="$1" conv=notrunc status=none', path_of(whole))
    assert found(site) == {("whole", "altered")}
    row = site.rows(Drift).get(state="open")
    site.press(f"/drift/{row.pk}/accept/", fingerprint=row.fingerprint, note="a test")
    assert found(site) == set()


def test_files_that_others_may_write_to_get_their_mode_back(site: Installation, store: Datastore) -> None:
    image = site.image(store, "open", GOLDEN)
    disk = site.succeeded(site.clone(image, "open-vm")).disk
    assert disk and found(site) == set(), "what cloudstore makes has the mode of its datastore"
    by_hand(site, 'chmod 0777 "$1" "$2"', path_of(image), f"{BASE}/{disk.vm_id}/disk.{disk.number}")
    assert found(site) == {("open", "differs"), (str(disk), "differs")}
    repaired(site, site.rows(Drift).get(state="open", disk=disk.pk))
    job = repaired(site, site.rows(Drift).get(state="open"))
    assert by_hand(site, 'stat -c %a "$1"', path_of(image)) == "660\n"
    assert found(site) == set()
    site.ended(site.undo(job))
    assert by_hand(site, 'stat -c %a "$1"', path_of(image)) == "777\n"
    by_hand(site, 'chmod 0660 "$1"', path_of(image))
    assert found(site) == set()


def test_a_host_that_is_away_has_no_drift(site: Installation) -> None:
    host = site.rows(Host).get(name="h2")
    site.machine("h2").cut()
    try:
        scan(site)
        last = site.rows(DriftScan).exclude(ended_at=None).first()
        assert last and not site.rows(Drift).filter(host_id=host.pk).exclude(state="gone").exists()
        away = site.rows(Host).get(pk=host.pk).state == HostState.UNREACHABLE
        assert away or [name for name, _ in last.unread] == ["h2"]
    finally:
        site.machine("h2").heal()
    wait_for(lambda: site.rows(Host).get(pk=host.pk).state == HostState.READY, "h2 is back", seconds=120)


def test_a_scan_that_is_killed_in_the_middle_leaves_the_rows_true(site: Installation, store: Datastore) -> None:
    by_hand(site, f"chmod 0700 {BASE}")
    assert found(site) == {("drifting", "differs")}
    by_hand(site, f"chmod 0755 {BASE}")
    before = site.rows(Drift).values().get(state="open")
    with site.points.holding("findmnt", BASE) as point:
        site.press("/drift/scan/")
        point.wait()
        wait_for(lambda: site.rows(DriftScan).filter(started_at__isnull=False, ended_at=None).exists(), "a scan begins")
        kill_all_workers(site)
    assert site.rows(Drift).values().get(pk=before["id"]) == before
    wait_for(lambda: site.rows(DriftScan).filter(broken=True).exists(), "the scan is given up", seconds=120)
    assert found(site) == set()
    assert site.rows(Drift).get(pk=before["id"]).state == Drift.State.GONE

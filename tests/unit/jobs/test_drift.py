"""Drift: what is kept true is read again; what differs is told once, exactly, and nothing is changed by looking."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.domain.errors import Busy, Refused
from datastores.domain.states import HostState, JobState, ObjectState, StepState
from datastores.hosts.stored import Footprint
from datastores.hosts.surveys import Verdict
from datastores.jobs import drift
from datastores.jobs.drift import ask_for_scan, look_for_drift
from datastores.models import (
    AuditEntry,
    Datastore,
    DatastoreHost,
    Disk,
    Drift,
    DriftScan,
    Host,
    Image,
    ImageFootprint,
    Job,
    Lease,
    User,
)
from datastores.services import drift as rows
from datastores.services.drift import note
from datastores.services.drift import remember as really_remember
from datastores.services.drift_scope import Managed, Scope
from datastores.services.images import rename, set_persistent
from datastores.services.managed import statements
from tests.unit.conftest import a_credential, a_datastore, a_disk, a_drift, a_host, a_job, a_step, an_image
from tests.unit.jobs.drifting import MIB, Site, scanned, write
from tests.unit.local import LocalShell

pytestmark = pytest.mark.django_db(transaction=True)


class TestAScan:
    def test_of_hosts_that_are_as_they_were_left_finds_nothing(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        assert scanned() == {}
        scan = DriftScan.objects.get()
        assert (scan.hosts, scan.statements, scan.skipped, scan.unread) == (1, 5, 0, [])
        assert ImageFootprint.objects.get(image=image).size == MIB

    def test_changes_nothing_on_a_host(self, site: Site, admin: User) -> None:
        site.image(admin)
        site.base.chmod(0o700)
        (site.base / "x").write_text("")
        scanned()
        assert {argv[0] for argv in site.shell("h1").ran} <= {"stat", "findmnt", "sh", "find"}
        assert site.base.stat().st_mode & 0o777 == 0o700

    def test_reads_a_datastore_once_however_many_images_are_in_it(self, site: Site, admin: User) -> None:
        for number in range(70):
            site.image(admin, f"image {number}", size=1)
        scanned()
        listings = [argv for argv in site.shell("h1").ran if "-ignore_readdir_race" in argv]
        assert len(listings) == 1

    @pytest.mark.parametrize(
        ("happens", "kind"),
        [
            (lambda site, image: site.file(image).unlink(), "missing"),
            (lambda site, image: os.truncate(site.file(image), 4096), "altered"),
            (lambda site, image: write(site.file(image), bytes(MIB)), "altered"),
            (lambda site, image: site.file(image).rename(site.base / "taken.raw"), "missing"),
            (lambda site, image: (site.file(image).unlink(), site.file(image).symlink_to("/etc/passwd")), "altered"),
        ],
    )
    def test_finds_a_master_that_vanished_or_was_changed(
        self, site: Site, admin: User, happens: Callable[[Site, Image], object], kind: str
    ) -> None:
        image = site.image(admin)
        other = site.image(admin, "other")
        assert scanned() == {}
        happens(site, image)
        assert scanned()["gold"] == kind
        found = Drift.objects.get(label="gold")
        assert (found.image, found.host, found.datastore) == (image, site.host, site.store)
        assert str(site.file(image)) in found.title
        assert not found.can_be_repaired
        assert not Drift.objects.filter(image=other).exists()

    def test_finds_a_truncated_master_that_it_sees_for_the_first_time(self, site: Site, admin: User) -> None:
        os.truncate(site.file(site.image(admin)), 100)
        assert scanned() == {"gold": "altered"}
        assert not ImageFootprint.objects.exists()

    def test_lets_a_job_change_an_image(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        scanned()
        write(site.file(image), bytes(2 * MIB))
        a_job(admin, "image.resize", image=image)
        assert scanned() == {}
        assert ImageFootprint.objects.get().size == 2 * MIB
        write(site.file(image), bytes(2 * MIB))
        assert scanned() == {"gold": "altered"}

    @pytest.mark.parametrize("kind", ["disk.create", "image.checksum"])
    def test_is_not_deceived_by_jobs_that_only_read_the_image(self, site: Site, admin: User, kind: str) -> None:
        image = site.image(admin)
        scanned()
        write(site.file(image), b"x" * MIB)
        a_step(a_job(admin, kind, image=image), state=StepState.CHANGED)
        assert scanned() == {"gold": "altered"}

    def test_lets_a_machine_write_to_a_persistent_image(self, site: Site, admin: User) -> None:
        image = site.image(admin, persistent=True)
        scanned()
        write(site.file(image), b"y" * MIB)
        assert scanned() == {}
        image.refresh_from_db()
        set_persistent(image, admin, on=False, version=image.version)
        assert scanned() == {}
        write(site.file(image), b"z" * MIB)
        assert scanned() == {"gold": "altered"}

    def test_compares_nothing_with_what_was_before_the_image_was_persistent(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        scanned()
        set_persistent(image, admin, on=True, version=0)
        write(site.file(image), b"y" * MIB)
        set_persistent(image, admin, on=False, version=1)
        assert scanned() == {}

    def test_is_not_deceived_by_another_name(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        scanned()
        write(site.file(image), b"y" * MIB)
        rename(image, "fine", admin, version=0)
        assert scanned() == {"fine": "altered"}

    def test_lists_files_that_belong_to_nothing(self, site: Site, admin: User) -> None:
        site.image(admin)
        for name in ("<img src=x onerror=alert(1)>", "a\nb", ".probe", "x.part", "x.sha256"):
            (site.base / name).write_text("theirs")
        (site.base / "7").mkdir()
        (site.base / "7" / "note").write_text("beside a disk")
        assert scanned() == {"fast": "foreign"}
        assert Drift.objects.get().text.splitlines() == ["<img src=x onerror=alert(1)>", r"a\nb"]
        assert (site.base / "a\nb").read_text() == "theirs"

    def test_knows_disks_and_the_links_of_persistent_ones(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        kept, gone = a_disk(image), a_disk(image)
        linked = a_disk(site.image(admin, "data", persistent=True), kind=Disk.Kind.LINK)
        for disk in (kept, gone, linked):
            (site.base / str(disk.vm_id)).mkdir()
        file = site.base / f"{kept.vm_id}" / "disk.0"
        file.write_bytes(bytes(MIB))
        file.chmod(0o660)
        link = site.base / f"{linked.vm_id}" / "disk.0"
        link.symlink_to(site.file(linked.image))
        assert scanned() == {f"{gone.vm.name} disk.0": "missing"}
        link.unlink()
        link.symlink_to("/etc")
        assert scanned()[f"{linked.vm.name} disk.0"] == "altered"

    def test_finds_a_directory_of_another_mode_with_what_would_put_it_right(self, site: Site) -> None:
        site.base.chmod(0o711)
        assert scanned() == {"fast": "differs"}
        found = Drift.objects.get()
        assert found.change["actions"][0]["do"]["argv"] == ["chmod", "00755", "--", str(site.base)]
        assert found.can_be_repaired

    def test_finds_masters_and_disks_that_others_may_use_with_what_would_put_them_right(
        self, site: Site, admin: User
    ) -> None:
        image = site.image(admin)
        disk = a_disk(image)
        file = site.base / f"{disk.vm_id}" / "disk.0"
        file.parent.mkdir()
        file.write_bytes(bytes(MIB))
        for path in (site.file(image), file):
            path.chmod(0o777)
        assert scanned() == {"gold": "differs", f"{disk.vm.name} disk.0": "differs"}
        found = Drift.objects.get(label="gold")
        assert found.can_be_repaired and found.image == image
        assert found.change["summary"] == f"{site.file(image)}: mode 0777 becomes 0660"
        [action] = found.change["actions"]
        assert action["do"]["argv"] == ["chmod", "00660", "--", str(site.file(image))]
        assert action["undo"]["argv"] == ["chmod", "00777", "--", str(site.file(image))]

    def test_judges_the_mode_of_files_by_the_options_of_their_datastore(self, site: Site, admin: User) -> None:
        site.file(site.image(admin)).chmod(0o664)
        assert scanned() == {"gold": "differs"}
        Datastore.objects.update(options=site.store.options | {"mode": "0664"})
        assert scanned() == {}

    def test_lets_a_file_have_a_narrower_mode(self, site: Site, admin: User) -> None:
        site.file(site.image(admin)).chmod(0o600)
        assert scanned() == {}

    def test_notices_that_a_master_was_written_to_while_others_may_use_it(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        site.file(image).chmod(0o666)
        assert scanned() == {"gold": "differs"}
        write(site.file(image), b"x" * MIB)
        assert scanned() == {"gold": "altered"}
        assert "Its mode is 0666, not 0660." in Drift.objects.get().text

    def test_does_not_say_that_masters_are_gone_when_their_datastore_is(self, site: Site, admin: User) -> None:
        site.image(admin)
        Datastore.objects.update(options=site.store.options | {"mounted": "everywhere"})
        assert scanned() == {"fast": "in the way"}
        Datastore.objects.update(options=site.store.options)
        site.base.rename(site.base.with_name("away"))
        assert scanned() == {"fast": "differs"}

    def test_tells_once_that_all_files_of_a_datastore_are_missing(self, site: Site, admin: User) -> None:
        images = [site.image(admin, f"image {number}") for number in range(4)]
        scanned()
        for image in images:
            site.file(image).rename(site.base / f".{image.uuid}")
        assert scanned() == {"fast": "missing"}
        assert "None of its 4 files is there" in Drift.objects.get().text
        for image in images[:2]:
            (site.base / f".{image.uuid}").rename(site.file(image))
        assert scanned() == {"image 2": "missing", "image 3": "missing"}
        assert Drift.objects.get(label="fast").state == Drift.State.GONE

    def test_concludes_nothing_from_a_host_that_is_away(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        site.base.chmod(0o700)
        scanned()
        before = Drift.objects.values().get()
        site.file(image).unlink()
        site.shell("h1").away = True
        scanned()
        assert Drift.objects.values().get() == before
        scan = DriftScan.objects.first()
        assert scan and (scan.hosts, scan.unread_hosts, scan.unread) == (0, 1, [["h1", "h1 does not answer."]])

    def test_leaves_alone_what_was_found_on_a_host_in_maintenance(self, site: Site) -> None:
        site.base.chmod(0o700)
        scanned()
        Host.objects.update(maintenance=True)
        site.base.chmod(0o755)
        assert scanned() == {"fast": "differs"}

    def test_that_fails_on_one_statement_judges_the_others(self, site: Site, admin: User) -> None:
        site.image(admin)
        other = a_datastore("lost", kind="shared", base="/nowhere/at/all", hosts=[site.host],
                            options=site.store.options)  # fmt: skip
        an_image(admin, "unknown", datastore=other)
        site.base.chmod(0o700)
        assert scanned() == {"fast": "differs", "lost": "differs"}

    def test_goes_on_past_a_row_with_wrong_data_and_leaves_alone_what_was_found_of_it(
        self, site: Site, admin: User
    ) -> None:
        bad, gold = site.image(admin, "bad"), site.image(admin)
        site.file(bad).unlink()
        (site.base / "theirs").write_text("x")
        assert scanned() == {"bad": "missing", "fast": "foreign"}
        Image.objects.filter(pk=bad.pk).update(format="vmdk")
        site.file(gold).unlink()
        assert scanned() == {"bad": "missing", "fast": "foreign", "gold": "missing"}
        scan = DriftScan.objects.first()
        assert scan and scan.skipped == 2
        assert ["h1", "Nothing can be said of the image bad: 'vmdk' is no format of a file."] in scan.unread

    def test_closes_what_is_true_again(self, site: Site) -> None:
        site.base.chmod(0o700)
        scanned()
        site.base.chmod(0o755)
        assert scanned() == {}
        row = Drift.objects.get()
        assert row.state == Drift.State.GONE and row.closed_at
        site.base.chmod(0o700)
        assert scanned() == {"fast": "differs"}
        row.refresh_from_db()
        assert row.closed_at is None and Drift.objects.count() == 1

    def test_closes_what_nobody_keeps_true_any_more(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        site.file(image).unlink()
        scanned()
        image.delete()
        assert scanned() == {}
        assert Drift.objects.get().state == Drift.State.GONE

    def test_forgets_what_was_closed_long_ago(self, site: Site) -> None:
        a_drift(state=Drift.State.GONE, closed_at=timezone.now() - timedelta(days=31))
        a_drift(state=Drift.State.REPAIRED, closed_at=timezone.now() - timedelta(days=29))
        scanned()
        assert Drift.objects.count() == 1


class TestJobsMeanwhile:
    def test_what_a_job_changes_is_not_judged(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        site.file(image).unlink()
        job = a_job(admin, "image.resize", image=image, state=JobState.RUNNING)
        Lease.objects.create(job=job, resource=f"image:{image.pk}", exclusive=True)
        assert scanned() == {}
        assert DriftScan.objects.get().skipped == 2, "the file, and whether all are missing"
        Lease.objects.all().delete()
        assert scanned() == {"gold": "missing"}

    def test_what_a_job_only_uses_is_judged(self, site: Site, admin: User) -> None:
        image = site.image(admin)
        site.file(image).unlink()
        job = a_job(admin, "disk.create", image=image, state=JobState.RUNNING)
        Lease.objects.create(job=job, resource=f"image:{image.pk}", exclusive=False)
        assert scanned() == {"gold": "missing"}

    def test_a_job_that_begins_or_ends_while_hosts_are_read_is_not_mistaken_for_drift(
        self, site: Site, admin: User
    ) -> None:
        begun, ended, deleted = (site.image(admin, name) for name in ("begun", "ended", "deleted"))
        for image in (begun, ended, deleted):
            site.file(image).unlink()
        remembered: list[int] = []

        def remember(found: Any) -> None:
            lease = Lease(job=a_job(admin, state=JobState.RUNNING), resource=f"image:{begun.pk}", exclusive=True)
            lease.save()
            a_step(a_job(admin, "image.move", image=ended), state=StepState.CHANGED)
            deleted.delete()
            remembered.append(1)
            really_remember(found)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drift, "remember", remember)
            assert scanned() == {}
        assert remembered == [1]

    def test_an_image_that_comes_while_the_directory_is_listed_is_not_foreign(self, site: Site, admin: User) -> None:
        def register() -> None:
            file = site.base / "11111111-2222-4333-8444-555555555555.raw"
            file.write_bytes(bytes(100))
            file.chmod(0o660)

        def remember(found: Any) -> None:
            an_image(admin, "new", uuid="11111111-2222-4333-8444-555555555555", datastore=site.store, virtual_size=100)
            really_remember(found)

        site.shell("h1").before = register
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drift, "remember", remember)
            assert scanned() == {}
        assert scanned() == {}

    def test_an_image_on_its_way_to_a_datastore_is_not_foreign_there(self, site: Site, admin: User) -> None:
        image = an_image(admin, "moving", datastore=a_datastore(hosts=[a_host("h2", state=HostState.UNREACHABLE)]))
        site.file(image).write_bytes(b"half")
        job = a_job(admin, "image.move", image=image, datastore=site.store, state=JobState.RUNNING)
        assert scanned() == {}
        Job.objects.filter(pk=job.pk).update(state=JobState.FAILED, ended_at=timezone.now() - timedelta(hours=1),
                                             created_at=timezone.now() - timedelta(hours=2))  # fmt: skip
        assert scanned() == {"fast": "foreign"}

    def test_what_is_not_ready_is_not_judged(self, site: Site, admin: User) -> None:
        site.file(site.image(admin, state=ObjectState.CHANGING)).unlink()
        assert scanned() == {}

    def test_a_scan_that_is_killed_in_the_middle_leaves_the_rows_true(self, site: Site, admin: User) -> None:
        site.base.chmod(0o700)
        scanned()
        before = Drift.objects.values().get()
        site.base.chmod(0o755)
        site.file(site.image(admin)).unlink()

        def killed(scan: DriftScan, reading: Any) -> None:
            raise SystemExit

        DriftScan.objects.update(started_at=timezone.now() - timedelta(hours=2))
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(drift, "end", killed)
            look_for_drift()
        assert Drift.objects.values().get() == before
        assert look_for_drift() == 0, "another machine may still make it"
        DriftScan.objects.filter(ended_at=None).update(heard_at=timezone.now() - timedelta(minutes=2))
        ask = ask_for_scan(admin)
        look_for_drift()
        assert DriftScan.objects.get(pk=ask.pk).ended_at
        assert DriftScan.objects.filter(broken=True).count() == 1
        assert dict(Drift.objects.values_list("label", "state")) == {"fast": "gone", "gold": "open"}

    def test_a_scan_that_was_given_up_stores_nothing(self, site: Site, admin: User) -> None:
        site.base.chmod(0o700)

        def given_up() -> None:
            DriftScan.objects.filter(ended_at=None).update(ended_at=timezone.now(), broken=True)

        ask_for_scan(admin)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drift.stored, "cache_clear", given_up, raising=False)
            assert look_for_drift() == 0
        assert not Drift.objects.exists()


class TestTheTurn:
    """Jobs and people wait while a scan is stored, so that it may take no longer than its differences need."""

    def test_holds_nothing_that_takes_a_look_at_each_statement(
        self, site: Site, admin: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = [site.image(admin, f"image {number}", size=1) for number in range(5)]
        site.file(images[0]).unlink()
        looked: list[Managed] = []
        resources = Managed.resources.fget  # type: ignore[attr-defined]

        def remember(found: Any) -> None:
            assert connection.in_atomic_block
            monkeypatch.setattr(Managed, "resources", property(lambda self: looked.append(self) or resources(self)))
            really_remember(found)
            monkeypatch.setattr(Managed, "resources", property(resources))

        monkeypatch.setattr(drift, "remember", remember)
        assert scanned() == {"image 0": "missing"}
        assert looked == []

    def test_is_over_when_footprints_are_noted_a_portion_at_a_time(
        self, site: Site, admin: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(5):
            site.image(admin, f"image {number}", size=1)
        portions: list[int] = []

        def noted(fresh: Any, since: Any) -> None:
            assert not connection.in_atomic_block
            portions.append(len(fresh))
            note(fresh, since)

        monkeypatch.setattr(rows, "NOTED_AT_ONCE", 2)
        monkeypatch.setattr(rows, "note", noted)
        assert scanned() == {}
        assert portions == [2, 2, 1]
        assert ImageFootprint.objects.count() == 5
        scanned()
        assert portions == [2, 2, 1], "only what was not known is noted"

    def test_a_job_that_works_on_an_image_before_its_footprint_is_noted_makes_that_void(
        self, site: Site, admin: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = site.image(admin)

        def resized_first(fresh: Any, since: Any) -> None:
            write(site.file(image), bytes(2 * MIB))
            a_job(admin, "image.resize", image=image)
            note(fresh, since)

        monkeypatch.setattr(rows, "note", resized_first)
        assert scanned() == {}
        monkeypatch.setattr(rows, "note", note)
        assert scanned() == {}
        assert ImageFootprint.objects.get().size == 2 * MIB

    def test_footprints_that_cannot_be_noted_are_noted_by_the_next_scan(
        self, site: Site, admin: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site.image(admin), site.image(admin, "other")

        def refused(fresh: Any, since: Any) -> None:
            raise IntegrityError("FOREIGN KEY constraint failed")

        monkeypatch.setattr(rows, "note", refused)
        assert scanned() == {}
        monkeypatch.setattr(rows, "note", note)
        assert scanned() == {}
        assert ImageFootprint.objects.count() == 2

    def test_what_a_job_has_noted_since_stays(self, site: Site, admin: User) -> None:
        image, begun = site.image(admin), timezone.now()
        note({image.pk: Footprint(2, "2.5")}, timezone.now())
        note({image.pk: Footprint(1, "1.5")}, begun)
        assert ImageFootprint.objects.get().written == "2.5"

    def test_an_image_that_was_deleted_or_became_persistent_gets_no_footprint(self, site: Site, admin: User) -> None:
        gone, open_, kept = (site.image(admin, name) for name in ("gone", "open", "kept"))
        set_persistent(open_, admin, on=True, version=0)
        fresh = {image.pk: Footprint(1, "1.5") for image in (gone, open_, kept)}
        gone.delete()
        note(fresh, timezone.now())
        assert [each.image for each in ImageFootprint.objects.all()] == [kept]

    def test_a_scan_is_heard_of_while_it_looks_up_what_is_kept_true(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun: list[Any] = []
        heard: list[Any] = []

        def slow(scope: Scope) -> Any:
            begun.append(DriftScan.objects.get().heard_at)
            deadline = time.monotonic() + 5
            while (at := DriftScan.objects.get().heard_at) == begun[0] and time.monotonic() < deadline:
                time.sleep(0.01)
            heard.append(at)
            return statements(scope)

        monkeypatch.setattr(drift, "BEAT_SECONDS", 0.02)
        monkeypatch.setattr(drift, "statements", slow)
        look_for_drift()
        assert heard[0] > begun[0]


class TestAsking:
    def test_a_scan_is_made_soon_once_it_is_asked_for(self, site: Site, admin: User) -> None:
        scanned()
        assert look_for_drift() == 0
        asked = ask_for_scan(admin, "10.0.0.9")
        with pytest.raises(Busy, match="under way already"):
            ask_for_scan(admin)
        assert look_for_drift() == 3
        asked.refresh_from_db()
        assert asked.ended_at and asked.asked_by == admin
        entry = AuditEntry.objects.get(action="drift.scan")
        assert (entry.actor_name, entry.address) == ("anna", "10.0.0.9")

    def test_one_machine_makes_it(self, site: Site, admin: User) -> None:
        ask_for_scan(admin)
        scan = drift.next_scan()
        assert scan and scan.asked_by == admin
        assert drift.next_scan() is None

    def test_each_hour_there_is_one_by_itself(self, site: Site) -> None:
        assert look_for_drift() == 3
        assert look_for_drift() == 0
        DriftScan.objects.update(started_at=timezone.now() - timedelta(minutes=61))
        assert look_for_drift() == 3


@pytest.mark.parametrize("wrong", [False, True])
def test_storing_a_scan_takes_no_query_for_each_host(
    site: Site, admin: User, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    """2,500 hosts with three statements each: a login and two of a datastore."""
    key = a_credential(public_key=f"ssh-ed25519 {'A' * 68} cloudstore")

    def fill(first: int, last: int) -> None:
        rows = [
            Host(name=f"kvm-{n}", address=f"10.{100 + n // 250}.{n % 250}.1", state=HostState.READY, credential=key,
                 facts_at=timezone.now())
            for n in range(first, last)
        ]  # fmt: skip
        Host.objects.bulk_create(rows)
        made = Host.objects.filter(name__in=[row.name for row in rows])
        DatastoreHost.objects.bulk_create(
            DatastoreHost(datastore=site.store, host=host, position=n) for n, host in enumerate(made, first + 1)
        )

    def counted() -> int:
        """Return the queries of a scan apart from those that look up how to log in to each host."""
        DriftScan.objects.update(started_at=timezone.now() - timedelta(hours=2))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            look_for_drift()
        return sum("datastores_hostkey" not in query["sql"] for query in queries)

    def survey(shell: LocalShell, steps: Any) -> Any:
        return [Verdict(refused=Refused("wrong")) if wrong else Verdict() for _ in steps]

    monkeypatch.setattr(drift, "survey", survey)
    fill(0, 50)
    look_for_drift()
    few = counted()
    fill(50, 2500)
    DriftScan.objects.update(started_at=timezone.now() - timedelta(hours=2))
    look_for_drift()
    assert counted() <= few + 4, "a portion of keys more or less"
    assert DriftScan.objects.first().statements > 4900  # type: ignore[union-attr]
    assert Drift.objects.open().count() == (DriftScan.objects.first().statements if wrong else 0)  # type: ignore[union-attr]

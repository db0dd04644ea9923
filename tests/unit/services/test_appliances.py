"""LUNs of an appliance: found, pinned, used by a machine, unpinned; and who gets to its portals."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput, Busy, CloudstoreError, Refused
from datastores.domain.iscsi import Lun, Portal
from datastores.domain.plan import AnyStep
from datastores.domain.states import ObjectState
from datastores.drivers.iscsi import IscsiDriver
from datastores.drivers.nas import NasDriver
from datastores.hosts.appliance_luns import Answer, LunsKnown, Met, PortalTried, SizedLun
from datastores.hosts.appliances import LunReached
from datastores.hosts.chap import SecretGone, SecretPresent
from datastores.hosts.disks import DeviceLinked
from datastores.hosts.open_iscsi import SessionClosed, SessionOpen
from datastores.hosts.portal_guards import PortalsGuarded, PortalsOpen
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import (
    Appliance,
    ApplianceLun,
    ApplianceReach,
    AuditEntry,
    Datastore,
    Disk,
    Host,
    Image,
    Job,
    User,
)
from datastores.services.appliances import remember_luns, unpin
from datastores.services.drift_scope import Scope
from datastores.services.hosts import require_unneeded
from datastores.services.managed import find, statements
from datastores.services.placing import driver_of
from tests.unit.conftest import a_datastore, a_host, a_vm, an_image
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db

IQN = "iqn.2004-04.com.appliance:ts-459:one"
SECRET = "Abcdefgh12345678"
GIB = 1 << 30


@pytest.fixture
def hosts(db: None) -> list[Host]:
    return [a_host(f"kvm{number}") for number in (1, 2, 3)]


@pytest.fixture
def nas(hosts: list[Host]) -> Datastore:
    options = {"portals": "10.0.0.5 10.0.1.5:3261", "user": "hypervisors"}
    return a_datastore("nas", kind="nas", base="/srv/nas", hosts=hosts[:2], options=options, secret=SECRET)


def offered(*numbers: int, size: int = 10 * GIB) -> list[SizedLun]:
    return [SizedLun(Lun(Portal("10.0.0.5"), IQN, number), size) for number in numbers]


def planned(job: Job) -> list[AnyStep]:
    return [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]


def rows(nas: Datastore) -> dict[int, ApplianceLun]:
    return {row.number: row for row in ApplianceLun.objects.filter(datastore=nas)}


def asked(kind: str, user: User, nas: Datastore, **params: Any) -> Job:
    return submit(kind, user=user, params=params, datastore=nas)


@pytest.fixture
def pinned(admin: User, nas: Datastore) -> Image:
    remember_luns(nas, offered(3))
    job = asked("nas.pin", admin, nas, lun=rows(nas)[3].pk, name="data")
    ended(job)
    KINDS[job.kind].succeeded(job, [])
    return Image.objects.get()


class TestFound:
    def test_every_portal_is_asked_by_the_storage_host_as_its_account(self, operator: User, nas: Datastore) -> None:
        steps = planned(asked("nas.find", operator, nas))
        assert [(step.host, str(step.portal)) for step in steps if isinstance(step, LunsKnown)] == [
            ("kvm1", "10.0.0.5:3260"), ("kvm1", "10.0.1.5:3261"),
        ]  # fmt: skip
        assert all(
            isinstance(step, LunsKnown) and step.account and step.account.name == "hypervisors" for step in steps
        )

    def test_what_two_portals_offer_is_one_lun_at_the_first(self, operator: User, nas: Datastore) -> None:
        job = asked("nas.find", operator, nas)
        first, second = planned(job)
        other = SizedLun(Lun(Portal("10.0.1.5", 3261), IQN, 1), 10 * GIB)
        KINDS[job.kind].succeeded(job, [(first, tuple(offered(1, 2))), (second, (other,))])
        assert {number: row.portal for number, row in rows(nas).items()} == {1: "10.0.0.5", 2: "10.0.0.5"}
        assert Appliance.objects.get(datastore=nas).read_at

    def test_a_lun_that_vanished_is_said_and_forgotten_the_next_time(self, nas: Datastore) -> None:
        remember_luns(nas, offered(1, 2))
        remember_luns(nas, offered(2))
        assert (rows(nas)[1].gone_at is None, rows(nas)[2].gone_at) == (False, None)
        remember_luns(nas, offered(2))
        assert list(rows(nas)) == [2]

    def test_a_pinned_one_that_vanished_is_kept_and_comes_back(self, nas: Datastore, pinned: Image) -> None:
        for _ in range(3):
            remember_luns(nas, [])
        assert rows(nas)[3].gone_at and rows(nas)[3].image == pinned
        remember_luns(nas, offered(3, size=5 * GIB))
        assert (rows(nas)[3].gone_at, rows(nas)[3].size, rows(nas)[3].size_before) == (None, 5 * GIB, 10 * GIB)

    def test_what_was_pinned_while_it_was_being_read_stays_pinned(
        self, admin: User, nas: Datastore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        remember_luns(nas, offered(3))
        image, rows_of = an_image(admin, datastore=nas), ApplianceLun.objects.filter

        def read_before(**which: Any) -> list[ApplianceLun]:
            found = list(rows_of(**which))
            rows_of(number=3).update(image=image)
            return found

        monkeypatch.setattr(ApplianceLun.objects, "filter", read_before)
        remember_luns(nas, offered(3, size=5 * GIB))
        monkeypatch.undo()
        assert (rows(nas)[3].image, rows(nas)[3].size, rows(nas)[3].size_before) == (image, 5 * GIB, 10 * GIB)

    def test_datastores_of_other_kinds_have_none(self, operator: User) -> None:
        with pytest.raises(Refused, match="made here, not found"):
            asked("nas.find", operator, a_datastore("plain"))


class TestPinned:
    def test_every_host_has_to_reach_it_with_its_size(self, admin: User, nas: Datastore) -> None:
        remember_luns(nas, offered(3))
        job = asked("nas.pin", admin, nas, lun=rows(nas)[3].pk, name="data")
        found = [step for step in planned(job) if isinstance(step, LunReached)]
        assert [(step.host, step.size, step.lun.number) for step in found] == [
            ("kvm1", 10 * GIB, 3),
            ("kvm2", 10 * GIB, 3),
        ]
        image = Image.objects.get()
        assert (image.name, image.format, image.persistent, image.virtual_size) == ("data", "raw", True, 10 * GIB)

    @pytest.mark.parametrize(
        ("change", "why"), [({"size": 0}, "how large"), ({"gone_at": "2026-01-01T00:00Z"}, "does not offer")]
    )
    def test_what_cannot_be_used_is_not_pinned(self, admin: User, nas: Datastore, change: Any, why: str) -> None:
        remember_luns(nas, offered(3))
        ApplianceLun.objects.update(**change)
        with pytest.raises(Refused, match=why):
            asked("nas.pin", admin, nas, lun=rows(nas)[3].pk, name="data")
        assert not Image.objects.exists()

    def test_it_is_pinned_once(self, admin: User, nas: Datastore, pinned: Image) -> None:
        with pytest.raises(Refused, match="pinned already"):
            asked("nas.pin", admin, nas, lun=rows(nas)[3].pk, name="other")

    def test_nothing_else_becomes_an_image_there(self, admin: User, nas: Datastore) -> None:
        with pytest.raises(Refused, match="Pin one of them"):
            submit("image.create", user=admin, params={"name": "x", "size": GIB, "format": "raw"}, datastore=nas)

    @pytest.mark.parametrize("kind", ["image.delete", "image.checksum"])
    def test_what_is_done_at_the_appliance_alone_is_refused(self, admin: User, pinned: Image, kind: str) -> None:
        with pytest.raises(CloudstoreError, match=r"at the appliance|not read here"):
            submit(kind, user=admin, image=pinned)
        assert Image.objects.get().state == ObjectState.READY


class TestUsed:
    @pytest.fixture
    def job(self, admin: User, nas: Datastore, pinned: Image, hosts: list[Host]) -> Job:
        return submit("disk.create", user=admin, params={"on": hosts[1].pk}, image=pinned, vm=a_vm(admin, "web"))

    def test_the_host_of_the_machine_logs_in_and_nothing_is_copied(self, job: Job) -> None:
        steps = planned(job)
        assert [type(step) for step in steps] == [SecretPresent, LunReached, SessionOpen, DeviceLinked]
        assert {step.host for step in steps} == {"kvm2"}
        opened = next(step for step in steps if isinstance(step, SessionOpen))
        assert (opened.lun.iqn, opened.lun.number) == (IQN, 3)

    def test_it_is_left_when_no_other_lun_of_the_target_is_used(self, admin: User, job: Job) -> None:
        KINDS[job.kind].succeeded(job, [])
        ended(job)
        disk = Disk.objects.get()
        closed = [
            step for step in planned(submit("disk.delete", user=admin, disk=disk)) if isinstance(step, SessionClosed)
        ]
        assert [(step.among, step.leaving) for step in closed] == [("/srv/nas", f"/srv/nas/{disk.vm_id}/disk.0")]

    def test_the_session_of_two_luns_is_changed_by_one_job_at_a_time(
        self, admin: User, nas: Datastore, job: Job, hosts: list[Host]
    ) -> None:
        """Who attaches one would find the session there that who detaches the other ends."""
        KINDS[job.kind].succeeded(job, [])
        ended(job)
        remember_luns(nas, [*offered(3, 4), SizedLun(Lun(Portal("10.0.0.5"), f"{IQN}-other", 1), GIB)])
        vm, second, elsewhere = Disk.objects.get().vm, *(
            ended(asked("nas.pin", admin, nas, lun=row.pk, name=f"data{row.pk}")).image
            for row in ApplianceLun.objects.filter(datastore=nas, image=None)
        )  # fmt: skip
        submit("disk.delete", user=admin, disk=Disk.objects.get())
        on = {"on": hosts[1].pk}
        with pytest.raises(Busy, match=r"^Target .*ts-459-one-[0-9a-f]{8} of host kvm2 is being changed"):
            submit("disk.create", user=admin, params=on, image=second, vm=vm)
        assert submit("disk.create", user=admin, params=on, image=elsewhere, vm=vm)
        assert submit("disk.create", user=admin, params={"on": hosts[0].pk}, image=second, vm=a_vm(admin))

    def test_it_is_not_unpinned_meanwhile(self, admin: User, job: Job, pinned: Image) -> None:
        KINDS[job.kind].succeeded(job, [])
        ended(job)
        with pytest.raises(Refused, match="is used by"):
            unpin(pinned, admin)


class TestUnpinned:
    def test_the_lun_is_left_and_the_trail_says_who_did_it(self, admin: User, nas: Datastore, pinned: Image) -> None:
        unpin(pinned, admin)
        assert not Image.objects.exists() and rows(nas)[3].image is None
        assert AuditEntry.objects.get(action="nas.unpin").detail["lun"] == f"LUN 3 of {IQN}"

    def test_an_image_that_is_none_is_not(self, admin: User) -> None:
        with pytest.raises(BadInput, match="is no LUN"):
            unpin(an_image(admin), admin)


class TestReached:
    def test_all_hosts_try_and_the_answers_are_kept(self, operator: User, nas: Datastore, hosts: list[Host]) -> None:
        a_host("away", state="unreachable")
        job = asked("nas.try", operator, nas)
        steps = [step for step in planned(job) if isinstance(step, PortalTried)]
        assert {step.host for step in steps} == {"kvm1", "kvm2", "kvm3"} and len(steps) == 6
        met = [Met(Answer.SILENT) if step.host == "kvm3" else Met(Answer.OFFERS, 2) for step in steps]
        KINDS[job.kind].succeeded(job, list(zip(steps, met, strict=True)))
        found = {(row.host.name, row.answer, row.luns) for row in ApplianceReach.objects.all()}
        assert found == {("kvm1", Answer.OFFERS, 2), ("kvm2", Answer.OFFERS, 2), ("kvm3", Answer.SILENT, 0)}

    def test_others_are_kept_from_it_and_let_there_again(self, admin: User, nas: Datastore) -> None:
        job = asked("nas.guard", admin, nas)
        (guarded,) = (step for step in planned(job) if isinstance(step, PortalsGuarded))
        assert (guarded.host, guarded.nobody, len(guarded.portals)) == ("kvm3", True, 2)
        KINDS[job.kind].succeeded(job, [])
        ended(job)
        with pytest.raises(Refused, match="Let them get there again"):
            submit("datastore.delete", user=admin, datastore=nas)
        job = asked("nas.open", admin, nas)
        assert [step.host for step in planned(job) if isinstance(step, PortalsOpen)] == ["kvm3"]
        KINDS[job.kind].succeeded(job, [])
        ended(job)
        deleted = planned(submit("datastore.delete", user=admin, datastore=nas))
        assert {type(step) for step in deleted} >= {SecretGone, PortalsOpen}

    def test_who_is_kept_from_it_becomes_one_of_its_hosts_only_afterwards(
        self, admin: User, nas: Datastore, hosts: list[Host]
    ) -> None:
        nas.options |= {"guard": False}
        nas.save()
        guard = asked("nas.guard", admin, nas)
        added = asked("datastore.hosts", admin, nas, add=[hosts[2].pk], remove=[])
        assert added.leases.filter(granted=False, resource=f"host list of datastore:{nas.pk}").exists()
        ended(guard)
        assert [step.host for step in planned(added) if isinstance(step, PortalsOpen)] == ["kvm3"]
        ended(added)
        assert not nas.guards.exists()
        with pytest.raises(Refused, match="No other host is kept from it"):
            asked("nas.open", admin, nas)

    def test_who_does_not_answer_stays_kept_from_it_and_remembered(
        self, admin: User, nas: Datastore, hosts: list[Host]
    ) -> None:
        ended(asked("nas.guard", admin, nas))
        away = a_host("kvm4")
        ended(asked("nas.guard", admin, nas))
        Host.objects.filter(pk=away.pk).update(state="unreachable")
        opened = asked("nas.open", admin, nas)
        assert {step.host for step in planned(opened)} == {"kvm3"}
        ended(opened)
        assert Appliance.objects.get().guarded_at and [row.host for row in nas.guards.all()] == [away]
        with pytest.raises(Refused, match="kvm4 cannot get to the appliance"):
            submit("datastore.delete", user=admin, datastore=nas)
        with pytest.raises(Refused, match="kvm4 cannot be asked now"):
            asked("nas.open", admin, nas)
        Host.objects.filter(pk=away.pk).update(state="ready")
        with pytest.raises(Refused, match="is kept from the appliance of nas"):
            require_unneeded(Host.objects.get(pk=away.pk))
        ended(asked("nas.open", admin, nas))
        assert not Appliance.objects.get().guarded_at and not nas.guards.exists()

    def test_rules_that_somebody_took_away_are_found_missing(
        self, admin: User, nas: Datastore, hosts: list[Host]
    ) -> None:
        ended(asked("nas.guard", admin, nas))
        (kept,) = (each for each in statements(Scope(Host.objects.filter(pk=hosts[2].pk))) if each.owner == "nas.guard")
        *_, guarded = kept.steps
        assert (
            isinstance(guarded, PortalsGuarded)
            and guarded.nobody
            and (kept.host, kept.datastore) == (hosts[2].pk, nas.pk)
        )
        assert f"appliance of datastore:{nas.pk}" in kept.resources
        about = Scope(Host.objects.filter(pk=hosts[2].pk), datastore=nas.pk)
        assert find(kept.key(guarded), "nas.guard", about) == (kept, kept.steps)

    def test_hosts_of_another_datastore_on_the_same_appliance_are_not_kept_from_it(
        self, admin: User, nas: Datastore, hosts: list[Host]
    ) -> None:
        a_datastore("more", kind="nas", hosts=hosts[2:], options={"portals": "10.0.1.5:3261"})
        with pytest.raises(Refused, match="no other host"):
            asked("nas.guard", admin, nas)

    def test_where_there_is_no_other_host_nobody_is_kept_from_it(
        self, admin: User, nas: Datastore, hosts: list[Host]
    ) -> None:
        hosts[2].delete()
        with pytest.raises(Refused, match="no other host"):
            asked("nas.guard", admin, nas)


@pytest.mark.parametrize(
    ("one", "other"), [("/srv/one_a", "/srv/one-a"), ("/srv/one-a", "/srv/One-A"), ("/srv/one", "/srv/one")]
)
@pytest.mark.parametrize("kind", ["nas", "iscsi"])
def test_no_two_datastores_have_files_or_rules_of_one_name(
    admin: User, hosts: list[Host], kind: str, one: str, other: str
) -> None:
    """Rules lie on hosts that are none of the datastore, too, so the same path on another host is another one."""
    options = {"portals": "10.0.0.5", "user": "x"} if kind == "nas" else {"backing": "files"}
    for base, host in zip((one, other), hosts, strict=False):
        params = {"name": host.name, "kind": kind, "type": "image", "base": base, "hosts": [host.pk],
                  "options": options, "secret": SECRET}  # fmt: skip
        submit("datastore.create", user=admin, params=params)
    first, second = (driver_of(each) for each in Datastore.objects.all())
    assert isinstance(first, NasDriver | IscsiDriver) and isinstance(second, NasDriver | IscsiDriver)
    assert first.account and second.account and first.account.file != second.account.file
    guards = [PortalsGuarded("kvm3", each.label_on_hosts, (Portal("10.0.0.5"),)) for each in (first, second)]
    assert not {each.argv for each in guards[0].reads()[:5]} & {each.argv for each in guards[1].reads()[:5]}


@pytest.mark.parametrize(
    ("options", "secret", "why"),
    [
        ({}, "", "at least one portal"),
        ({"portals": "10.0.0.5", "user": "x"}, "", "both the CHAP account and its secret"),
        ({"portals": "10.0.0.5"}, SECRET, "both the CHAP account and its secret"),
        ({"portals": "nas.example.org"}, "", "is no portal"),
        ({"portals": "10.0.0.5 10.0.0.5:3260"}, "", "named twice"),
        ({"portals": "10.0.0.999"}, "", "no IP address"),
        ({"portals": "10.0.0.5", "target": "one"}, "", "no iSCSI name"),
    ],
)
def test_an_appliance_that_could_not_be_used_is_refused(admin: User, options: Any, secret: str, why: str) -> None:
    params = {"name": "nas", "kind": "nas", "type": "image", "base": "/srv/nas", "hosts": [a_host().pk],
              "options": options, "secret": secret}  # fmt: skip
    with pytest.raises(BadInput, match=why):
        submit("datastore.create", user=admin, params=params)
    assert not Datastore.objects.exists()

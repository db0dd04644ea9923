"""Directories of hosts move onto datastores: who may, what is refused, what the plan is, and what is remembered."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput, Busy, Refused, Unsupported
from datastores.hosts.open_files import DirectoryAtRest
from datastores.hosts.services import ServiceStarted, ServiceStopped
from datastores.hosts.tree_links import DirectoryBack, DirectoryLinked
from datastores.hosts.trees import TreeCopied, TreeGone
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Host, Job, MovedDirectory, User
from datastores.services.datastores import require_empty
from datastores.services.directories import left_by
from datastores.services.hosts import require_unneeded
from tests.unit.conftest import a_datastore, a_host, signed_in, text_of
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db
PATH = "/var/lib/one"


@pytest.fixture
def nas(db: None) -> Host:
    return a_host("nas")


@pytest.fixture
def gold(nas: Host) -> Datastore:
    return a_datastore("gold", kind="shared", base="/srv/gold", hosts=[nas, a_host("kvm1")])


def move(user: User, host: Host, store: Datastore, **params: Any) -> Job:
    return submit("directory.move", user=user, host=host, datastore=store,
                  params={"path": PATH, "name": "one", **params})  # fmt: skip


def steps_of(job: Job) -> list[Any]:
    return [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]


def copied_by(steps: list[Any]) -> str:
    """Return the file that says that the copy is the job's own, which the switch removes."""
    [copied] = [step for step in steps if isinstance(step, TreeCopied)]
    return copied.outcome


def test_services_stop_all_is_copied_the_link_takes_its_place_and_services_start(
    admin: User, nas: Host, gold: Datastore
) -> None:
    steps = steps_of(move(admin, nas, gold, services=["opennebula", "nova-compute.service", ""]))
    kinds = [type(step) for step in steps]
    assert kinds.index(ServiceStopped) < kinds.index(TreeCopied) < kinds.index(DirectoryLinked)
    assert kinds.index(DirectoryLinked) < kinds.index(ServiceStarted)
    assert kinds[kinds.index(DirectoryLinked) - 1] is DirectoryAtRest, "looked at once more before the switch"
    assert DirectoryLinked("nas", PATH, "/srv/gold/one", f"{PATH}.cloudstore-before", copied_by(steps)) in steps
    units = [step.unit for step in steps if isinstance(step, ServiceStarted)]
    assert units == ["nova-compute.service", "opennebula.service"]


def test_a_client_has_it_over_the_network(admin: User, nas: Host, gold: Datastore) -> None:
    kvm = Host.objects.get(name="kvm1")
    networks: list[bool] = []
    for host, network in ((nas, False), (kvm, True)):
        job = ended(move(admin, host, gold, name=f"of-{host.name}"), "cancelled")
        networks += [step.network == network for step in steps_of(job) if isinstance(step, TreeCopied)]
    assert networks == [True, True]


@pytest.mark.parametrize("path", ["/", "/var/lib", "/etc/libvirt", "/usr/share/one", "relative", "/var/lib/cloudstore"])
def test_what_the_host_needs_where_it_is_stays(admin: User, nas: Host, gold: Datastore, path: str) -> None:
    with pytest.raises(BadInput):
        move(admin, nas, gold, path=path)


@pytest.mark.parametrize("name", ["7", "../x", "", "One", "a/b", ".hidden", "0d5c5e4e-6a0b.qcow2"])
def test_a_name_is_none_of_an_image_or_a_disk(admin: User, nas: Host, gold: Datastore, name: str) -> None:
    with pytest.raises(BadInput):
        move(admin, nas, gold, name=name)


def test_a_directory_around_a_datastore_and_a_host_that_does_not_see_it_are_refused(
    admin: User, nas: Host, gold: Datastore
) -> None:
    with pytest.raises(Refused, match="overlaps"):
        move(admin, nas, gold, path="/srv/gold/images")
    local = a_datastore("local", kind="xfs", base="/srv/local", hosts=[nas, Host.objects.get(name="kvm1")])
    with pytest.raises(Unsupported, match="no directory on kvm1"):
        move(admin, Host.objects.get(name="kvm1"), local)
    with pytest.raises(BadInput, match="systemd unit"):
        move(admin, nas, gold, services=["rm -rf"])
    assert not Job.objects.exists()


@pytest.mark.parametrize("unit", ["ssh", "sshd.service", "ssh.socket", "dbus", "systemd-networkd", "multi-user.target"])
def test_what_a_host_is_reached_by_is_not_stopped(admin: User, nas: Host, gold: Datastore, unit: str) -> None:
    with pytest.raises(BadInput, match="is not stopped: the host is reached by it"):
        move(admin, nas, gold, services=[unit])


def test_it_is_remembered_brought_back_and_what_is_left_deleted(admin: User, nas: Host, gold: Datastore) -> None:
    ended(move(admin, nas, gold, services=["opennebula"]))
    row = MovedDirectory.objects.get()
    assert (row.path, row.target, row.kept) == (PATH, "/srv/gold/one", f"{PATH}.cloudstore-before")
    with pytest.raises(Refused, match="lies on gold already"):
        move(admin, nas, gold, name="two")
    job = submit("directory.return", user=admin, host=nas, datastore=gold, params={"directory": row.pk})
    steps = steps_of(job)
    assert DirectoryBack("nas", PATH, "/srv/gold/one", f"{PATH}.cloudstore-new", copied_by(steps)) in steps
    assert [step.source for step in steps if isinstance(step, TreeCopied)] == ["/srv/gold/one"]
    assert {step.path for step in steps if isinstance(step, DirectoryAtRest)} == {"/srv/gold/one"}
    ended(job)
    job = submit("directory.forget", user=admin, host=nas, datastore=gold, params={"directory": row.pk})
    gone = [step.kept for step in steps_of(job) if isinstance(step, TreeGone)]
    assert gone == [f"{PATH}.cloudstore-before", "/srv/gold/one"]
    ended(job)
    assert not MovedDirectory.objects.exists()


def test_what_was_kept_may_be_deleted_while_it_lies_there(admin: User, nas: Host, gold: Datastore) -> None:
    ended(move(admin, nas, gold))
    row = MovedDirectory.objects.get()
    job = done("directory.forget", admin, {"directory": row.pk}, host=nas, datastore=gold)
    row.refresh_from_db()
    assert (row.kept, row.moved) == ("", True)
    with pytest.raises(Refused, match="deleted already"):
        submit("directory.forget", user=admin, host=nas, datastore=gold, params={"directory": row.pk})
    with pytest.raises(Refused, match="deleted since"):
        KINDS["directory.move"].check_undo(Job.objects.get(kind="directory.move"))
    assert job.title == f"Delete what {PATH} on nas has left"


def test_another_host_shares_it_without_a_copy(admin: User, nas: Host, gold: Datastore) -> None:
    kvm = Host.objects.get(name="kvm1")
    with pytest.raises(Refused, match="none to share"):
        move(admin, kvm, gold, join=True)
    ended(move(admin, nas, gold))
    with pytest.raises(Refused, match="is there already"):
        move(admin, kvm, gold)
    job = move(admin, kvm, gold, join=True)
    assert not any(isinstance(step, TreeCopied) for step in steps_of(job))
    ended(job)
    row = MovedDirectory.objects.get(host=kvm)
    MovedDirectory.objects.filter(pk=row.pk).update(moved=False)
    job = submit("directory.forget", user=admin, host=kvm, datastore=gold, params={"directory": row.pk})
    assert [step.kept for step in steps_of(job) if isinstance(step, TreeGone)] == [f"{PATH}.cloudstore-before"]


def test_taking_the_move_back_leaves_what_was_written_since(admin: User, nas: Host, gold: Datastore) -> None:
    job = ended(move(admin, nas, gold))
    case = KINDS[job.kind]
    case.check_undo(job)
    assert case.destroyed_by_undo(job) == ""
    case.undone(job)
    row = MovedDirectory.objects.get()
    assert (row.moved, left_by(row)) == (False, ["/srv/gold/one"])
    done("directory.forget", admin, {"directory": row.pk}, host=nas, datastore=gold)
    move(admin, nas, gold)


def test_nobody_deletes_what_it_lies_on(admin: User, nas: Host, gold: Datastore) -> None:
    ended(move(admin, nas, gold))
    with pytest.raises(Refused, match="Bring it back"):
        require_empty(gold)
    gold.members.all().delete()
    with pytest.raises(Refused, match="Bring it back"):
        require_unneeded(nas)


def test_a_host_is_not_taken_out_of_a_datastore_that_holds_its_directory(
    admin: User, nas: Host, gold: Datastore
) -> None:
    kvm = Host.objects.get(name="kvm1")
    ended(move(admin, kvm, gold))
    with pytest.raises(Refused, match="Bring it back first"):
        submit("datastore.hosts", user=admin, datastore=gold, params={"add": [], "remove": [kvm.pk]})


def test_one_directory_of_a_host_moves_at_a_time(admin: User, nas: Host, gold: Datastore) -> None:
    move(admin, nas, gold)
    with pytest.raises(Busy):
        move(admin, nas, gold, path="/var/lib/nova/instances", name="nova")
    with pytest.raises(Busy, match="Directories of datastore gold"):
        move(admin, Host.objects.get(name="kvm1"), gold)


def test_the_pages_ask_and_show(admin: User, operator: User, nas: Host, gold: Datastore) -> None:
    client = signed_in(admin)
    page = text_of(client.get(f"/hosts/{nas.pk}/directories/"))
    assert "gold" in page and 'value="/var/lib/one"' in page
    sent = {"path": PATH, "datastore": gold.pk, "name": "one", "services": "opennebula\nnova-compute.service"}
    client.post(f"/hosts/{nas.pk}/directories/", sent)
    job = Job.objects.get()
    assert job.params["services"] == ["opennebula.service", "nova-compute.service"]
    ended(job)
    row = MovedDirectory.objects.get()
    page = text_of(client.get(f"/hosts/{nas.pk}/"))
    assert "/srv/gold/one" in page and "Bring back" in page and "Delete what is left" in page
    assert "Bring back" not in text_of(signed_in(operator).get(f"/hosts/{nas.pk}/"))
    page = text_of(client.post(f"/hosts/{nas.pk}/directories/{row.pk}/forget/"))
    assert "gone for ever" in page and not Job.objects.filter(kind="directory.forget").exists()
    client.post(f"/hosts/{nas.pk}/directories/{row.pk}/forget/", {"confirm_name": PATH})
    assert Job.objects.filter(kind="directory.forget").exists()


def test_a_unit_that_is_none_stays_in_the_form(admin: User, nas: Host, gold: Datastore) -> None:
    sent = {"path": PATH, "datastore": gold.pk, "name": "one", "services": "rm -rf /"}
    page = text_of(signed_in(admin).post(f"/hosts/{nas.pk}/directories/", sent))
    assert "is not the name of a systemd unit" in page and not Job.objects.exists()

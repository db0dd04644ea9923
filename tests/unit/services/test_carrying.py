"""Images and disks between datastores that no host shares, and disks that lie on the hosts of their machines."""

from __future__ import annotations

import pytest

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import AnyStep
from datastores.hosts.copies import FileConverted, FileCopied
from datastores.hosts.receiving import FileReceived, ReceivingForgotten, pace
from datastores.hosts.returned import FileReplaced
from datastores.hosts.sending import SendingAllowed
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Disk, Host, HostKey, Image, Job, User, VirtualMachine
from datastores.services.carrying import route_of
from datastores.services.drift_scope import Scope
from datastores.services.managed import disks
from datastores.transport.keys import public_line
from tests.unit.conftest import a_datastore, a_disk, a_host, a_vm, an_image
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmFh5OFy+kJkYcU0Fh5Bt7DhSWyHmNMlvT4o9Uu0Y2a"
MIB = 1 << 20


def known(name: str) -> Host:
    host = a_host(name, facts={"nics": [{"name": "eth1", "addresses": ["172.16.0.9/24"]}]})
    HostKey.objects.create(host=host, line=f"{KEY} {name}", fingerprint=f"SHA256:{name}", pinned_at=host.created_at)
    return host


@pytest.fixture
def hosts(db: None) -> list[Host]:
    return [known("nas"), known("node")]


@pytest.fixture
def pair(hosts: list[Host]) -> tuple[Datastore, Datastore]:
    """Two datastores on one host each, which no host sees both of."""
    return a_datastore("here", hosts=hosts[:1]), a_datastore("there", hosts=hosts[1:])


@pytest.fixture
def ssh(hosts: list[Host]) -> Datastore:
    return a_datastore("local", hosts=hosts, kind="ssh")


def steps(job: Job) -> list[AnyStep]:
    return [step for stage in KINDS[job.kind].plan(Job.objects.get(pk=job.pk)) for step in stage.steps]


def test_the_targets_host_fetches_an_image_with_a_key_of_its_own(
    alice: User, pair: tuple[Datastore, Datastore]
) -> None:
    image = an_image(alice, datastore=pair[0], real_size=800 * MIB)
    job = submit("image.move", user=alice, image=image, datastore=pair[1], params={"limit": 50 * MIB})
    assert (job.params["sender"], job.params["host"]) == ("nas", "node")
    route = route_of(job)
    assert (route.source, route.target, route.limit) == ("nas", "node", 50 * MIB)
    assert public_line(route.private_key) == route.public_key
    assert route.private_key not in str(job.params)  # encrypted at rest
    node = Host.objects.get(name="node")
    assert route.seen_as == (node.address, "172.16.0.9")
    planned = steps(job)
    (fetched,) = [step for step in planned if isinstance(step, FileReceived)]
    assert (fetched.host, fetched.data) == ("node", 800 * MIB)
    assert "at most 50 MiB in a second" in pace(fetched.route)
    assert isinstance(planned[-1], ReceivingForgotten)  # the last, after the old one is removed
    held = KINDS[job.kind].resources(job)
    assert held.keys() >= {f"host:{host.pk}" for host in Host.objects.all()}


def test_each_job_has_another_key(alice: User, pair: tuple[Datastore, Datastore]) -> None:
    image = an_image(alice, datastore=pair[0])
    jobs = [
        submit("disk.create", user=alice, image=image, vm=a_vm(alice), datastore=pair[1])
        for _ in range(2)
    ]  # fmt: skip
    assert len({route_of(job).public_key for job in jobs}) == 2
    again = ended(jobs[0], "failed")
    before = again.params["public_key"]
    KINDS["disk.create"].again(again)
    assert again.params["public_key"] != before


def test_a_sender_that_cannot_be_used_now(alice: User, pair: tuple[Datastore, Datastore]) -> None:
    image = an_image(alice, datastore=pair[0])
    Host.objects.filter(name="nas").update(maintenance=True)
    with pytest.raises(Refused, match=r"nas.* is in maintenance"):
        submit("image.move", user=alice, image=image, datastore=pair[1])


def test_a_sender_of_which_no_key_is_pinned(alice: User, pair: tuple[Datastore, Datastore]) -> None:
    image = an_image(alice, datastore=pair[0])
    HostKey.objects.all().delete()
    with pytest.raises(BadInput, match="No host key of nas is pinned"):
        submit("image.move", user=alice, image=image, datastore=pair[1])


@pytest.mark.parametrize("limit", [-1, "fast", 1.5])
def test_a_limit_is_a_number_of_bytes(alice: User, pair: tuple[Datastore, Datastore], limit: object) -> None:
    image = an_image(alice, datastore=pair[0])
    with pytest.raises(BadInput, match="number of bytes"):
        submit("image.move", user=alice, image=image, datastore=pair[1], params={"limit": limit})


def working_disk(alice: User, ssh: Datastore, *, persistent: bool) -> Disk:
    """A disk on the host node of an image on the host nas."""
    image = an_image(alice, datastore=ssh, persistent=persistent, sha256="a" * 64, data_digest="a" * 64)
    node = Host.objects.get(name="node")
    job = submit("disk.create", user=alice, image=image, vm=a_vm(alice), params={"on": node.pk})
    assert (job.disk.kind, job.disk.host) == (Disk.Kind.COPY, node)
    assert [step.path for step in steps(job) if isinstance(step, SendingAllowed)] == [f"{ssh.base}/{image.uuid}.raw"]
    ended(job)
    disk = Disk.objects.get(pk=job.disk_id)
    assert disk.state == "ready"
    return disk


def test_a_disk_lies_on_the_host_of_its_machine(alice: User, ssh: Datastore) -> None:
    disk = working_disk(alice, ssh, persistent=False)
    (managed,) = disks(Scope(Host.objects.all()))
    assert (managed.host, [step.host for step in managed.steps]) == (disk.host_id, ["node"])
    job = submit("disk.delete", user=alice, disk=disk)
    assert [step.host for step in steps(job)] == ["node"]


def test_a_persistent_disk_replaces_its_image_when_it_goes(alice: User, ssh: Datastore) -> None:
    disk = working_disk(alice, ssh, persistent=True)
    Disk.objects.update(virtual_size=26 << 30)
    with pytest.raises(Refused, match="one VM at a time"):
        submit("disk.create", user=alice, image=disk.image, vm=a_vm(alice))
    with pytest.raises(Refused, match="it is needed by: VM"):
        submit("image.delete", user=alice, image=disk.image)
    job = submit("disk.delete", user=alice, disk=Disk.objects.get())
    planned = steps(job)
    (back,) = [step for step in planned if isinstance(step, FileReplaced)]
    assert (back.host, back.path) == ("nas", f"{ssh.base}/{disk.image.uuid}.raw")
    assert (job.params["sender"], job.params["host"]) == ("node", "nas")
    assert KINDS[job.kind].resources(job)[f"image:{disk.image_id}"]
    ended(job)
    image = Image.objects.get()
    assert (image.sha256, image.virtual_size) == ("", 26 << 30)
    assert not Disk.objects.exists()


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_it_comes_back_only_after_a_clean_shutdown(alice: User, ssh: Datastore, state: str) -> None:
    disk = working_disk(alice, ssh, persistent=True)
    VirtualMachine.objects.filter(pk=disk.vm_id).update(state=state)
    with pytest.raises(Refused, match=f"is {state}"):
        submit("disk.delete", user=alice, disk=disk)
    assert Disk.objects.get().state == "ready"


def test_the_making_of_a_persistent_disk_is_not_taken_back(alice: User, ssh: Datastore) -> None:
    disk = working_disk(alice, ssh, persistent=True)
    job = Job.objects.get(kind="disk.create")
    with pytest.raises(Refused, match="Delete the disk, and it comes back"):
        KINDS[job.kind].check_undo(job)
    assert Disk.objects.get() == disk


def test_a_disk_is_saved_and_moved_from_where_it_lies(alice: User, ssh: Datastore, hosts: list[Host]) -> None:
    disk = working_disk(alice, ssh, persistent=False)
    saved = submit("disk.save", user=alice, disk=disk, datastore=ssh, params={"name": "saved"})
    assert (saved.params["sender"], saved.params["host"]) == ("node", "nas")
    ended(saved)
    other = a_datastore("fast", hosts=hosts[1:])
    moved = submit("disk.move", user=alice, disk=disk, datastore=other)
    assert (moved.params["sender"], moved.params["host"]) == ("", "node")
    assert {step.host for step in steps(moved)} == {"node"}


def test_the_copy_of_a_persistent_image_is_not_moved(alice: User, ssh: Datastore, hosts: list[Host]) -> None:
    disk = working_disk(alice, ssh, persistent=True)
    with pytest.raises(Refused, match="comes back to its persistent image"):
        submit("disk.move", user=alice, disk=disk, datastore=a_datastore("fast", hosts=hosts[1:]))


def test_a_disk_of_another_datastore_does_not_come_back(alice: User, pair: tuple[Datastore, Datastore]) -> None:
    disk = a_disk(an_image(alice, datastore=pair[0]), kind=Disk.Kind.COPY)
    job = submit("disk.delete", user=alice, disk=disk)
    assert not job.params["back"]


def test_what_is_moved_on_one_host_is_compared_before_the_old_one_goes(alice: User, hosts: list[Host]) -> None:
    here, there = (a_datastore(name, hosts=hosts[:1], base=f"/srv/{name}") for name in ("here", "there"))
    image = an_image(alice, datastore=here)
    other = an_image(alice, datastore=there)
    disk = a_disk(image, kind=Disk.Kind.COPY)
    moves = (
        submit("image.move", user=alice, image=other, datastore=here),
        submit("disk.move", user=alice, disk=disk, datastore=there),
    )
    for job in moves:
        assert [step.compared for step in steps(job) if isinstance(step, FileCopied | FileConverted)] == [True]
    saved = submit("image.clone", user=alice, params={"name": "another", "source": image.pk})
    assert not [step for step in steps(saved) if getattr(step, "compared", False)], "nothing is lost with it"

"""Disks over copies of images that their hosts keep: what is found there, made there, and makes room."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from datastores.domain.errors import Busy, Refused
from datastores.domain.plan import AnyStep
from datastores.domain.states import JobState, ObjectState
from datastores.hosts.caches import CachedCopyGone
from datastores.hosts.checksums import DataDigest, DataDigestKnown
from datastores.hosts.overlays import OverlayExists
from datastores.hosts.receiving import FileReceived
from datastores.hosts.sending import SendingAllowed
from datastores.hosts.stored import FileStored, OnlyKnownFiles
from datastores.jobs.caches import tidy_caches
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit, submit_all
from datastores.models import CachedCopy, Datastore, DatastoreHost, Disk, Host, HostKey, Image, Job, Lease, User
from datastores.services import leases
from datastores.services.cache_jobs import unneeded
from datastores.services.caching import is_current, leaving_for
from datastores.services.drift import busy
from datastores.services.drift_scope import Scope
from datastores.services.managed import cached_copies
from tests.unit.conftest import a_datastore, a_host, a_vm, an_image
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmFh5OFy+kJkYcU0Fh5Bt7DhSWyHmNMlvT4o9Uu0Y2a"
GIB = 1 << 30
SHA = "ab" * 32


def known(name: str) -> Host:
    host = a_host(name)
    HostKey.objects.create(host=host, line=f"{KEY} {name}", fingerprint=f"SHA256:{name}", pinned_at=host.created_at)
    return host


@pytest.fixture
def hosts(db: None) -> list[Host]:
    return [known("nas"), known("node")]


@pytest.fixture
def ssh(hosts: list[Host]) -> Datastore:
    return a_datastore("local", hosts=hosts, kind="ssh", base="/srv/local",
                       options={"cache": True, "cache_limit": "60 GiB"})  # fmt: skip


@pytest.fixture
def gold(alice: User, ssh: Datastore) -> Image:
    return an_image(alice, "gold", datastore=ssh, format="qcow2", data_digest=SHA, real_size=2 * GIB)


def asked(user: User, image: Image, on: str = "node") -> Job:
    params = {"on": Host.objects.get(name=on).pk}
    return submit("disk.create", user=user, image=image, vm=a_vm(user), params=params)


def steps(job: Job) -> list[AnyStep]:
    return [step for stage in KINDS[job.kind].plan(Job.objects.get(pk=job.pk)) for step in stage.steps]


def of_type(job: Job, kind: type[Any]) -> Any:
    (found,) = [step for step in steps(job) if isinstance(step, kind)]
    return found


def arrived(job: Job, digest: str = SHA, of_image: str = SHA) -> list[tuple[AnyStep, Any]]:
    """Return what a worker would have found when all steps are true."""
    results: list[tuple[AnyStep, Any]] = []
    for step in steps(job):
        if isinstance(step, FileReceived):
            file = SimpleNamespace(size=5 * GIB, allocated=2 * GIB)
            results.append((step, SimpleNamespace(files={step.target: file})))
        elif isinstance(step, DataDigestKnown):
            results.append((step, DataDigest(digest if "/.cache/" in step.path else of_image)))
        else:
            results.append((step, None))
    return results


def made(user: User, image: Image, on: str = "node") -> Job:
    job = asked(user, image, on)
    return ended(job, result=arrived(job) if job.params.get("makes") else ())


def member(name: str = "node") -> DatastoreHost:
    return DatastoreHost.objects.get(host__name=name)


def test_the_first_disk_brings_the_image_to_its_host(alice: User, gold: Image) -> None:
    job = asked(alice, gold)
    assert (job.disk.kind, job.disk.format, job.disk.base.state) == (Disk.Kind.CLONE, "qcow2", ObjectState.PENDING)
    place = f"/srv/local/.cache/{gold.uuid}.{SHA[:16]}.qcow2"
    fetched, over = of_type(job, FileReceived), of_type(job, OverlayExists)
    assert (fetched.host, fetched.target, fetched.ownership.mode) == ("node", place, "0444")
    assert (over.host, over.base, over.target) == ("node", place, f"/srv/local/{job.vm.pk}/disk.0")
    assert (over.ownership.mode, over.coming) == ("0660", True)
    assert KINDS[job.kind].queue_of(job) == "transfer"
    ended(job, result=arrived(job))
    copy = CachedCopy.objects.get()
    assert (copy.state, copy.data_digest, copy.digest, copy.taken, copy.uses) == ("ready", SHA, SHA, 2 * GIB, 1)
    assert (member().cache_uses, member().cache_hits) == (1, 0)


def test_the_second_takes_no_transfer(alice: User, gold: Image) -> None:
    made(alice, gold)
    job = asked(alice, gold)
    (over,) = steps(job)
    assert isinstance(over, OverlayExists) and not over.coming
    assert KINDS[job.kind].queue_of(job) == "interactive"
    assert KINDS[job.kind].pack(job)
    ended(job)
    assert (member().cache_uses, member().cache_hits) == (2, 1)
    assert CachedCopy.objects.get().uses == 2


def test_each_host_has_copies_of_its_own(alice: User, gold: Image) -> None:
    made(alice, gold)
    job = asked(alice, gold, "nas")
    assert job.params["makes"]
    assert {step.host for step in steps(job)} == {"nas"}
    assert not [step for step in steps(job) if isinstance(step, FileReceived)]


def test_an_image_whose_digest_is_not_known_gets_one_on_the_way(alice: User, gold: Image) -> None:
    Image.objects.update(data_digest="")
    gold.refresh_from_db()
    job = asked(alice, gold)
    assert [step.path for step in steps(job) if isinstance(step, DataDigestKnown)] == [
        f"/srv/local/{gold.uuid}.qcow2", f"/srv/local/.cache/{gold.uuid}.{job.uuid.hex[:16]}.qcow2"
    ]  # fmt: skip
    ended(job, result=arrived(job))
    gold.refresh_from_db()
    assert gold.data_digest == CachedCopy.objects.get().data_digest == SHA
    assert not asked(alice, gold).params.get("makes")


def test_bytes_that_are_not_those_of_the_image_are_not_taken(alice: User, gold: Image) -> None:
    job = asked(alice, gold)
    with pytest.raises(Refused, match=f"digest {'0' * 64}, and gold has {SHA}"):
        KINDS[job.kind].succeeded(Job.objects.get(pk=job.pk), arrived(job, digest="0" * 64))
    assert CachedCopy.objects.get().state == ObjectState.PENDING


def test_an_image_that_somebody_else_has_changed_is_read_anew_the_next_time(alice: User, gold: Image) -> None:
    job = asked(alice, gold)
    with pytest.raises(Refused, match="Try again") as refused:
        KINDS[job.kind].succeeded(Job.objects.get(pk=job.pk), arrived(job, digest="0" * 64))
    KINDS[job.kind].failed(Job.objects.get(pk=job.pk), f"cp failed: {refused.value}")
    gold.refresh_from_db()
    assert gold.data_digest == SHA, "who quotes it does not say it"
    KINDS[job.kind].failed(Job.objects.get(pk=job.pk), f"{refused.value} What the job had done before was taken back.")
    gold.refresh_from_db()
    assert (gold.sha256, gold.data_digest) == ("", "")
    assert asked(alice, gold).params["checks"]


def test_disks_that_are_asked_for_at_once_wait_for_the_one_that_brings_it(
    alice: User, gold: Image, enqueued: list[str]
) -> None:
    params = {"on": Host.objects.get(name="node").pk}
    jobs = submit_all("disk.create", [{"image": gold, "vm": a_vm(alice)} for _ in range(3)], user=alice, params=params)
    later = asked(alice, gold)
    assert [bool(job.params.get("makes")) for job in (*jobs, later)] == [True, False, False, False]
    assert Lease.objects.filter(granted=False).count() == 3
    assert [job for job, _ in leases.waits_for(later, alice)] == [jobs[0]]
    case = KINDS["disk.create"]
    case.succeeded(Job.objects.get(pk=jobs[0].pk), arrived(jobs[0]))
    Job.objects.filter(pk=jobs[0].pk).update(state=JobState.SUCCEEDED)
    assert {job.pk for job in leases.release([jobs[0]])} == {jobs[1].pk, jobs[2].pk, later.pk}


def test_when_it_cannot_be_brought_the_next_one_tries(alice: User, gold: Image) -> None:
    first = asked(alice, gold)
    second = asked(alice, gold)
    ended(first, "failed")
    assert CachedCopy.objects.get().state == ObjectState.ERROR
    with pytest.raises(Refused, match="it broke Try again: then this job brings it"):
        KINDS["disk.create"].check_still(second)
    ended(second, "failed")
    second.refresh_from_db()
    KINDS["disk.create"].again(second)
    assert second.params["makes"] and second.disk.base.state == ObjectState.PENDING


def test_a_disk_that_was_cancelled_leaves_nothing(alice: User, gold: Image) -> None:
    ended(asked(alice, gold), "cancelled")
    assert not CachedCopy.objects.exists() and not Disk.objects.exists()


def test_a_copy_that_others_wait_for_is_not_forgotten(alice: User, gold: Image) -> None:
    first, second = asked(alice, gold), asked(alice, gold)
    ended(first, "cancelled")
    assert CachedCopy.objects.get().state == ObjectState.ERROR
    assert second.disk.base_id == CachedCopy.objects.get().pk


def test_what_others_lie_over_is_not_taken_back(alice: User, gold: Image) -> None:
    first = made(alice, gold)
    KINDS["disk.create"].check_undo(first)
    second = made(alice, gold)
    with pytest.raises(Refused, match="other disks lie over it"):
        KINDS["disk.create"].check_undo(first)
    KINDS["disk.create"].check_undo(second)
    ended(submit("disk.delete", user=alice, disk=second.disk))
    KINDS["disk.create"].check_undo(first)
    CachedCopy.objects.update(made_by=second.uuid)
    with pytest.raises(Refused, match="it was evicted since"):
        KINDS["disk.create"].check_undo(first)


def test_a_changed_image_is_copied_anew(alice: User, gold: Image) -> None:
    made(alice, gold)
    Image.objects.update(data_digest="cd" * 32)
    gold.refresh_from_db()
    job = asked(alice, gold)
    assert job.params["makes"] and job.disk.base.held == "cd" * 8
    assert CachedCopy.objects.count() == 2


def test_a_persistent_image_is_not_cached(alice: User, gold: Image) -> None:
    Image.objects.update(persistent=True)
    gold.refresh_from_db()
    job = asked(alice, gold)
    assert (job.disk.kind, job.disk.base) == (Disk.Kind.COPY, None)


def test_an_image_of_another_datastore_is_cached_too(alice: User, ssh: Datastore, hosts: list[Host]) -> None:
    image = an_image(alice, datastore=a_datastore("slow", hosts=hosts, kind="qcow2"), format="qcow2", data_digest=SHA)
    params = {"on": hosts[1].pk}
    job = submit("disk.create", user=alice, image=image, vm=a_vm(alice), datastore=ssh, params=params)
    assert job.params["makes"]
    assert {step.host for step in steps(job)} == {"node"}  # it sees both


def test_an_image_may_go_while_disks_lie_over_its_copy(alice: User, gold: Image) -> None:
    job = made(alice, gold)
    ended(submit("image.delete", user=alice, image=gold))
    copy = CachedCopy.objects.get()
    assert (copy.image, copy.name) == (None, "gold")
    assert tidy_caches() == 0
    ended(submit("disk.delete", user=alice, disk=Disk.objects.get(pk=job.disk_id)))
    assert tidy_caches() == 1
    evict = Job.objects.get(kind="cache.evict")
    assert of_type(evict, CachedCopyGone).host == "node"
    ended(evict)
    assert not CachedCopy.objects.exists()


def test_what_could_not_be_made_is_cleared_away_later(alice: User, gold: Image) -> None:
    failed = ended(asked(alice, gold), "failed")
    ended(submit("disk.delete", user=alice, disk=Disk.objects.get(pk=failed.disk_id)))
    assert tidy_caches() == 0
    CachedCopy.objects.update(used_at=timezone.now() - timedelta(hours=1))
    assert tidy_caches() == 1


# Room


def copies(*given: tuple[str, int, int, str]) -> None:
    """Make copies: what they hold, GiB, hours since they were used, state."""
    for held, size, hours, state in given:
        CachedCopy.objects.create(
            member=member(), uuid="0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11", name=held, held=held, format="raw",
            taken=size * GIB, state=state, made_by="0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11", data_digest=held,
            image=Image.objects.first() if held == SHA[:16] else None,
        )  # fmt: skip
        CachedCopy.objects.filter(held=held).update(used_at=timezone.now() - timedelta(hours=hours))


def leaving(needed: int, limit: int) -> list[str] | None:
    found = leaving_for(needed * GIB, limit * GIB, member())
    return None if found is None else [each.held for each in found]


def test_what_was_used_longest_ago_makes_room(alice: User, gold: Image) -> None:
    Image.objects.update(data_digest=SHA[:16])
    copies(("old", 10, 9, "ready"), ("older", 10, 12, "ready"), (SHA[:16], 10, 99, "ready"))
    assert leaving(30, 60) == []
    assert leaving(31, 60) == ["older"]
    assert leaving(45, 60) == ["older", "old"]
    assert leaving(60, 60) == ["older", "old", SHA[:16]]  # what the next disk would be made over goes last
    assert leaving(61, 60) is None


def test_what_disks_lie_over_or_jobs_work_on_makes_no_room(alice: User, gold: Image) -> None:
    copies(("used", 10, 9, "ready"), ("coming", 10, 9, "pending"), ("going", 10, 9, "deleting"))
    Disk.objects.create(vm=a_vm(alice), number=0, datastore=gold.datastore, kind="clone", format="qcow2",
                        base=CachedCopy.objects.get(held="used"))  # fmt: skip
    assert leaving(40, 60) == []
    assert leaving(41, 60) is None


def test_a_disk_whose_image_does_not_fit_is_a_whole_copy(alice: User, ssh: Datastore) -> None:
    image = an_image(alice, datastore=ssh, data_digest=SHA, real_size=61 * GIB, virtual_size=90 * GIB)
    job = asked(alice, image)
    assert (job.disk.kind, job.disk.base) == (Disk.Kind.COPY, None)
    ended(job)
    assert (member().cache_uses, member().cache_hits) == (1, 0)


def test_room_is_made_in_the_same_plan(alice: User, ssh: Datastore, gold: Image) -> None:
    first = made(alice, gold)
    ended(submit("disk.delete", user=alice, disk=first.disk))
    image = an_image(alice, "big", datastore=ssh, data_digest="cd" * 32, real_size=59 * GIB)
    job = asked(alice, image)
    gone = of_type(job, CachedCopyGone)
    assert PurePosixPath(gone.path).name == f"{gold.uuid}.{SHA[:16]}.qcow2"
    assert CachedCopy.objects.get(image=gold).state == ObjectState.DELETING
    waits = asked(alice, gold)
    assert waits.disk.kind == Disk.Kind.COPY  # what leaves is not used any more
    ended(job, "failed")
    assert CachedCopy.objects.get(image=gold).state == ObjectState.ERROR


def test_a_copy_of_which_no_digest_is_known_is_neither_used_nor_kept(alice: User, gold: Image) -> None:
    copies((SHA[:16], 2, 1, "ready"))
    CachedCopy.objects.update(data_digest="", digest=SHA)
    Image.objects.update(data_digest="")
    gold.refresh_from_db()
    old = CachedCopy.objects.get()
    assert not is_current(old)
    import_module("migrations.0036_data_digests").give_up(apps, None)
    old.refresh_from_db()
    assert (old.state, old.digest) == (ObjectState.ERROR, "")
    assert unneeded() == [old]
    assert asked(alice, gold).params["makes"]


# What people do


def test_an_image_is_cached_before_it_is_needed(operator: User, gold: Image, ssh: Datastore) -> None:
    node = Host.objects.get(name="node")
    job = submit("cache.warm", user=operator, image=gold, datastore=ssh, host=node)
    assert job.title == "Cache gold on node"
    assert not [step for step in steps(job) if isinstance(step, OverlayExists)]
    with pytest.raises(Refused, match="is being copied to node"):
        submit("cache.warm", user=operator, image=gold, datastore=ssh, host=node)
    ended(job, result=arrived(job))
    assert not asked(operator, gold).params.get("makes")


def test_what_somebody_removed_is_made_again_under_the_same_name(operator: User, gold: Image, ssh: Datastore) -> None:
    made(operator, gold)
    job = submit("cache.warm", user=operator, image=gold, datastore=ssh, host=Host.objects.get(name="node"))
    assert of_type(job, FileReceived).target == f"/srv/local/.cache/{gold.uuid}.{SHA[:16]}.qcow2"
    ended(job, "failed")
    assert CachedCopy.objects.get().state == ObjectState.READY


def test_a_copy_that_was_there_stays_when_its_making_anew_is_cancelled(
    operator: User, gold: Image, ssh: Datastore
) -> None:
    job = submit("cache.warm", user=operator, image=gold, datastore=ssh, host=Host.objects.get(name="node"))
    ended(job, result=arrived(job))
    again = submit("cache.warm", user=operator, image=gold, datastore=ssh, host=Host.objects.get(name="node"))
    ended(again, "cancelled")
    copy = CachedCopy.objects.get()
    assert (copy.state, copy.error, copy.disks.count()) == (ObjectState.READY, "", 0)


def test_a_copy_with_disks_is_never_evicted(operator: User, gold: Image) -> None:
    job = made(operator, gold)
    copy = CachedCopy.objects.get()
    with pytest.raises(Refused, match="1 disks lie over"):
        submit("cache.evict", user=operator, params={"copy": copy.pk})
    ended(submit("disk.delete", user=operator, disk=job.disk))
    evict = submit("cache.evict", user=operator, params={"copy": copy.pk})
    assert (evict.title, evict.host.name) == ("Evict gold from the cache of node", "node")
    with pytest.raises((Refused, Busy), match="deleting"):
        submit("cache.evict", user=operator, params={"copy": copy.pk})
    ended(evict, "failed")
    assert CachedCopy.objects.get().state == ObjectState.READY


def test_a_moved_disk_lies_over_nothing(alice: User, gold: Image, hosts: list[Host]) -> None:
    disk = made(alice, gold).disk
    job = submit("disk.move", user=alice, disk=disk, datastore=a_datastore("fast", hosts=hosts[1:]))
    assert not [step for step in steps(job) if type(step).__name__ == "FileCopied"]  # read through what it lies over
    ended(job)
    disk.refresh_from_db()
    assert (disk.kind, disk.base) == (Disk.Kind.COPY, None)


def test_a_disk_that_is_used_on_another_host_lies_over_nothing_there(alice: User, gold: Image) -> None:
    disk = made(alice, gold).disk
    job = submit("disk.place", user=alice, disk=disk, params={"on": Host.objects.get(name="nas").pk})
    assert [step.path for step in steps(job) if isinstance(step, SendingAllowed)] == [
        f"/srv/local/transfer-{job.uuid}.part"
    ]  # made whole first
    ended(job)
    disk.refresh_from_db()
    assert (disk.kind, disk.base, disk.host.name) == (Disk.Kind.COPY, None, "nas")


# What is kept true


def test_what_lies_in_the_caches_is_looked_at(alice: User, gold: Image, ssh: Datastore) -> None:
    made(alice, gold)
    asked(alice, gold, "nas")
    said = {(each.host, each.settled, type(each.steps[0])): each for each in cached_copies(Scope(Host.objects.all()))}
    nas, node = (Host.objects.get(name=name).pk for name in ("nas", "node"))
    assert said.keys() == {
        (node, True, FileStored), (nas, False, FileStored), (node, True, OnlyKnownFiles), (nas, True, OnlyKnownFiles)
    }  # fmt: skip
    kept = said[node, True, FileStored].steps[0]
    assert (kept.base, kept.least, kept.mode) == ("/srv/local/.cache", 5 * GIB, "0444")
    assert said[node, True, OnlyKnownFiles].steps[0].known == (f"{gold.uuid}.{SHA[:16]}.qcow2",)
    assert not list(cached_copies(Scope(Host.objects.filter(name="elsewhere"))))
    assert f"images of datastore:{ssh.pk}" in busy(timezone.now() - timedelta(minutes=1)).resources

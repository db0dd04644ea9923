"""Rows of every kind and in every state, and nothing behind them: what the pages are looked at with."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.utils import timezone

from datastores.domain.iscsi import Lun, Portal
from datastores.domain.plan import Action, Change, Command, WriteFile
from datastores.domain.states import EventKind, HostState, JobState, Level, ObjectState, StepState
from datastores.hosts.appliance_luns import Answer, SizedLun
from datastores.hosts.gluster_seen import VolumeKnown
from datastores.jobs.codec import encode_change
from datastores.jobs.doorbell import FEED
from datastores.models import (
    ApplianceLun,
    ApplianceReach,
    Brick,
    CachedCopy,
    Cluster,
    Datastore,
    DatastoreHost,
    DatastoreSample,
    Drift,
    Host,
    HostKey,
    HostSample,
    Image,
    Job,
    Measurement,
    MovedDirectory,
    NotificationTarget,
    Snapshot,
    User,
)
from datastores.models.audit import record
from datastores.models.samples import FINE
from datastores.services.appliances import remember_luns
from datastores.services.volumes import remember_volume
from tests.unit.conftest import (
    GIB,
    a_credential,
    a_datastore,
    a_disk,
    a_drift,
    a_host,
    a_job,
    a_step,
    a_vm,
    an_alert,
    an_image,
    write_log,
)
from tests.unit.hosts.test_gluster import recorded
from tests.unit.web.test_hosts import facts

HOSTILE = "<img src=x onerror=alert(1)>"
LONG = "a-name-that-nobody-would-choose-but-a-program-that-puts-everything-it-knows-into-one-name-2026-11-21"
PASSWORD = "not for production 1"
LATER = timedelta(days=1)
"""So far ahead is the last sign of life of what runs, that nobody takes it for dead."""


def deeds(admin: User, image: Image, host: Host) -> None:
    record("image.rename", user=admin, target=image, result="done", before=HOSTILE, after=LONG)
    record("image.persistent", user=admin, target=image, result="done", before=True, after=False)
    record("host.change", user=admin, target=host, result="done")
    record("user.sign_in", user=None, target=admin, address="10.0.0.9", result="refused")


def furnish() -> dict[str, Any]:
    """Make the rows, and return what the addresses of the pages need."""
    admin = User.objects.get(username="admin")
    people = {
        role: User.objects.create_user(f"the-{role}", password=PASSWORD, role=role) for role in ("tenant", "auditor")
    }
    cluster = Cluster.objects.create(name="paris", description="Two rooms, one network.")
    a_credential(name="a key of ours")
    hosts = [a_host(f"kvm-0{n}", cluster=cluster, facts=facts(), clock_skew=0.1) for n in range(3)]
    a_host("kvm-lost", state=HostState.UNREACHABLE, error="No route to host.", cluster=cluster)
    strange = a_host("kvm-strange", state=HostState.QUARANTINED, facts=facts())
    a_host("kvm-new", state=HostState.NEW), a_host("kvm-off", maintenance=True)
    known_by_their_keys(hosts, strange)
    space = {"total": 4 << 40, "measured_at": timezone.now(), "cluster": cluster}
    store = a_datastore("fast", hosts=hosts, used=1 << 40, free=3 << 40, **space)
    a_datastore("full", kind="qcow2", hosts=hosts[:1], used=3900 << 30, free=196 << 30, **space)
    a_datastore("system", type=Datastore.Type.SYSTEM, kind="xfs", hosts=hosts, used=1 << 30, free=1 << 40, **space)
    a_datastore("silent", error="df: /srv: Input/output error", used=1 << 40, free=3 << 40, **space)
    a_datastore("coming", state=ObjectState.PENDING, cluster=cluster)
    image = an_image(
        admin, "debian-12", datastore=store, real_size=3 * GIB, sha256="0" * 64, data_digest="0" * 64, format="qcow2"
    )
    deeds(admin, image, hosts[0]), measured(store, hosts)
    for name in (HOSTILE, LONG, "alma-9"):
        an_image(people["tenant"], name, datastore=store)
    an_image(admin, "broken", datastore=store, state=ObjectState.ERROR, error="No space left on device.")
    Snapshot.objects.create(image=image, name="before", state="ready")
    machine = a_vm(admin, "web-1")
    disk = a_disk(image, machine)
    a_vm(people["tenant"], HOSTILE, state="running")
    jobs = {
        name: make(admin, store)
        for name, make in (("running", running), ("failed", failed), ("planned", planned), ("planning", planning))
    }
    asked = timezone.now() - timedelta(seconds=2)
    a_job(admin, title="Clone debian-12 to web-1 disk.0", kind="disk.create", image=image, created_at=asked)
    a_job(admin, title=f"Register {HOSTILE}", state=JobState.INTERRUPTED, error="The host does not answer.")
    entry = record("datastore.change", user=admin, target=store, address="10.0.0.9", result="done",
                   before={"name": "slow", "base": "/srv/a"}, after={"name": "fast", "base": "/srv/a"})  # fmt: skip
    return {
        "host": hosts[0].pk, "volume": a_volume(hosts).pk, "nas": an_appliance(hosts, admin).pk,
        "cached": a_cache(hosts, image).pk,
        "strange": strange.pk, "cluster": cluster.pk, "datastore": store.pk, "image": image.pk,
        "vm": machine.pk, "disk": disk.pk, "entry": entry.seq, "user": people["tenant"].pk,
        **{name: str(job.uuid) for name, job in jobs.items()},
        **watched(hosts[0], image), **a_tank(admin, hosts),
    }  # fmt: skip


def known_by_their_keys(hosts: list[Host], strange: Host) -> None:
    """Pin a key of each; ``strange`` offers another one."""
    for number, host in enumerate([*hosts, strange]):
        HostKey.objects.create(
            host=host, line="ssh-ed25519 AAAA", fingerprint=f"SHA256:{number:043}", pinned_at=timezone.now()
        )
    HostKey.objects.create(host=strange, line="ssh-ed25519 BBBB", fingerprint=f"SHA256:{'x' * 43}")


def a_volume(hosts: list[Host]) -> Datastore:
    """A datastore of bricks, one of which is off and some files of which contradict each other."""
    store = a_datastore("vms", kind="gluster", base="/srv/vms", hosts=hosts, options={"set_size": 2})
    for place, host in enumerate(hosts[:2]):
        path = "/srv/xfs/bricks/torn"
        Brick.objects.create(datastore=store, host=host, peer=f"h{place + 1}", path=path, position=place)
    answers = [recorded("gluster_seen.VolumeKnown/split-brain", number) for number in range(8)]
    remember_volume(store.pk, VolumeKnown("h1", "torn").facts(answers))
    return store


def a_tank(admin: User, hosts: list[Host]) -> dict[str, Any]:
    """A datastore with limits, an image that its clones need, and a disk for which room is kept."""
    options = {"dataset": "tank/vms", "quota": "2T", "reserve": True}
    store = a_datastore("tank", kind="zfs", base="/srv/tank", hosts=hosts, options=options)
    master = an_image(admin, "master", datastore=store)
    an_image(admin, "heir", datastore=store, parent=master)
    disk = a_disk(master, a_vm(admin, "db-1"), reserved=GIB)
    return {"limited": store.pk, "master": master.pk, "kept": disk.pk}


def an_appliance(hosts: list[Host], admin: User) -> Datastore:
    """A datastore on an appliance, of which one LUN is pinned, one is free and one is gone."""
    store = a_datastore("nas", kind="nas", base="/srv/nas", hosts=hosts[:1], options={"portals": "10.0.0.5"})
    luns = [
        SizedLun(Lun(Portal("10.0.0.5"), "iqn.2004-04.com.appliance:one", number), 10 << 30) for number in (1, 2, 3)
    ]
    remember_luns(store, luns)
    remember_luns(store, luns[:2])
    image = an_image(admin, "data", datastore=store, format="raw", virtual_size=10 << 30, persistent=True)
    ApplianceLun.objects.filter(number=1, datastore=store).update(image=image)
    for host, answer in ((hosts[0], Answer.OFFERS), (hosts[1], Answer.ANSWERS)):
        ApplianceReach.objects.create(datastore=store, host=host, portal="10.0.0.5:3260", answer=answer)
    return store


def a_cache(hosts: list[Host], image: Image) -> Datastore:
    """A datastore whose hosts keep copies of images; one of them has none yet."""
    options = {"cache": True, "cache_limit": "20 GiB"}
    store = a_datastore("local", kind="ssh", base="/srv/local", hosts=hosts[:2], options=options)
    first = store.members.order_by("position").first()
    DatastoreHost.objects.filter(pk=first.pk).update(cache_uses=40, cache_hits=37)
    known = {"member": first, "image": image, "uuid": image.uuid, "name": image.name, "format": image.format}
    for held, state in (("ready", "ready"), ("error", "error")):
        CachedCopy.objects.create(
            **known, held=held, state=state, taken=3 * GIB, made_by=image.uuid, made_at=timezone.now(), uses=37,
            data_digest=image.data_digest, error="The host did not answer." if state == "error" else "",
        )  # fmt: skip
    return store


def watched(host: Host, image: Image) -> dict[str, Any]:
    """Make what the schedule finds, and to whom it tells it."""
    store = image.datastore
    alert = an_alert("full", subject=f"datastore:{store.pk}")
    an_alert("silent", severity="warning", rule="datastore_not_measured", state="resolved", resolved_at=timezone.now())
    drift = a_drift(host=host, datastore=store, label="fast")
    vanished = a_drift(host=host, image=image, label="debian-12", kind=Drift.Kind.MISSING)
    target = NotificationTarget.objects.create(kind="webhook", address="http://127.0.0.1:1/hook")
    sample(host, store)
    return {"alert": alert.pk, "drift": drift.pk, "vanished": vanished.pk, "target": target.pk}


def sample(host: Host, store: Datastore) -> None:
    """A day of samples, so that the charts show something."""
    now = timezone.now()
    for number in range(0, 288, 2):
        at = now - timedelta(minutes=5 * number)
        HostSample.objects.create(
            host=host,
            at=at,
            resolution=FINE,
            latency=2.0 + number % 7,
            load=0.5 + number % 5 / 4,
            memory_used=(8 + number % 3) * GIB,
            memory_total=32 * GIB,
            root_used=20 * GIB,
            root_total=100 * GIB,
        )
        DatastoreSample.objects.create(
            datastore=store, at=at, resolution=FINE, total=4 << 40, used=(1 << 40) - number * GIB, promised=1 << 40
        )


def measured(store: Datastore, hosts: list[Host]) -> None:
    """Make the datastore one that was measured, once with fio and once with dd, and that holds a host's directory."""
    ways = {
        hosts[0]: {"tool": "fio-3.33", "write_iops": 8000.5, "read_iops": 9000.5, "write_p50": 155.0,
                   "write_p99": 5000.0, "read_p50": 90.0, "read_p99": 400.0},
        hosts[1]: {"tool": "dd", "network": True, "direct": False},
    }  # fmt: skip
    for name, moved in (("one", True), (LONG[:60], False)):
        MovedDirectory.objects.create(
            host=hosts[0], datastore=store, path=f"/var/lib/{name}", target=f"{store.base}/{name}",
            kept=f"/var/lib/{name}.cloudstore-before", moved=moved,
        )  # fmt: skip
    for number, (host, figures) in enumerate(ways.items()):
        values: dict[str, Any] = {"network": False, "direct": True, "hardware": f"RAID1, {LONG}", "fstype": "xfs"}
        Measurement.objects.create(
            datastore=store, host=host, datastore_name=store.name, host_name=host.name, kind=store.kind,
            at=timezone.now() - timedelta(days=number), size=256 << 20, write_rate=900 << 20, read_rate=1200 << 20,
            **(values | figures),
        )  # fmt: skip


def running(user: User, store: Any) -> Job:
    job = a_job(user, "image.move", title=f"Move {LONG} to full", state=JobState.RUNNING, datastore=store,
                started_at=timezone.now(), heartbeat_at=timezone.now() + LATER)  # fmt: skip
    a_step(job, "the directory is there", "kvm-00", state=StepState.CHANGED)
    a_step(job, "the copy is there", "kvm-00", state=StepState.RUNNING, bytes_done=9 * GIB, bytes_total=25 * GIB,
           started_at=timezone.now() - timedelta(seconds=90))  # fmt: skip
    a_step(job, f"the copy {LONG} has the checksum that {LONG} had before it was copied", "kvm-01")
    write_log(job, "cp --sparse=always", kind=EventKind.ACTION_STARTED)
    write_log(job, *(f"{number} % copied" for number in range(60)), "\x1b[31mslow\x1b[0m")
    write_log(job, "The disk is nearly full.", level=Level.WARNING)
    return job


def failed(user: User, store: Any) -> Job:
    job = a_job(user, "datastore.create", title="Create the datastore slow", state=JobState.FAILED, datastore=store,
                error="exportfs: /srv/slow: No such file or directory")  # fmt: skip
    a_step(job, "it is exported", "kvm-00", state=StepState.FAILED)
    a_step(job, "the directory is there", "kvm-00", state=StepState.UNDONE)
    write_log(job, "exportfs -r", kind=EventKind.ACTION_STARTED)
    write_log(job, "exportfs: No such file or directory", level=Level.ERROR)
    return job


def planned(user: User, store: Any) -> Job:
    job = a_job(user, "datastore.create", title="Create the datastore next", state=JobState.AWAITING, datastore=store)
    export = WriteFile("/etc/exports", "/srv 10.0.0.0/24(rw)\n", "/srv 10.0.0.0/24 (ro,sync)\n", mode="0640")
    actions = (Action(export, export.undo), Action(Command(("exportfs", "-r"))))
    change = encode_change(Change("export it", actions, "The blank gave it to everybody."))
    a_step(job, "/srv is exported", "kvm-00", change=change)
    a_step(job, "nfs-common is installed", "kvm-01")
    a_step(job, "it is mounted", "kvm-02", refused="There is something else at /srv.")
    return job


def planning(user: User, store: Any) -> Job:
    return a_job(user, "datastore.create", title="Create the datastore soon", state=JobState.PLANNING, datastore=store,
                 heartbeat_at=timezone.now() + LATER)  # fmt: skip


def make_the_plan(uuid: str) -> None:
    """Do what a worker does when it has read the hosts, and ring nobody."""
    job = Job.objects.get(uuid=uuid)
    change = encode_change(Change("make it", (Action(Command(("mkdir", "/srv"))),)))
    a_step(job, "the directory is there", "kvm-00", change=change)
    job.move(JobState.PLANNING, to=JobState.AWAITING)


def make_an_image() -> int:
    return an_image(User.objects.get(username="admin"), "passing").pk


def delete_the_image(pk: int) -> None:
    """Let a job of the admin delete an image, and tell of it as a worker does."""
    admin, image = User.objects.get(username="admin"), Image.objects.get(pk=pk)
    job = a_job(admin, "image.delete", state=JobState.RUNNING, image=image)
    record("image.delete", user=admin, target=image, job=job)
    job.move(JobState.RUNNING, to=JobState.SUCCEEDED)
    image.delete()
    async_to_sync(get_channel_layer().group_send)(FEED, {"type": "feed.job", "uuid": str(job.uuid)})


def end_a_job() -> str:
    """Let a job of the admin begin and succeed, and tell of it as a worker does, but do not go before it is told."""
    job = a_job(User.objects.get(username="admin"), title=f"Clone {HOSTILE}", state=JobState.RUNNING)
    job.move(JobState.RUNNING, to=JobState.SUCCEEDED)
    async_to_sync(get_channel_layer().group_send)(FEED, {"type": "feed.job", "uuid": str(job.uuid)})
    return str(job.uuid)


def take_back(uuid: str) -> None:
    """Let a job that succeeded wait to be taken back."""
    Job.objects.get(uuid=uuid).move(JobState.SUCCEEDED, to=JobState.QUEUED, ended_at=None, undo_requested=True)
    async_to_sync(get_channel_layer().group_send)(FEED, {"type": "feed.job", "uuid": uuid})


def main() -> None:
    print(json.dumps(furnish()))  # noqa: T201 for the test that asked

"""Every kind of job may wait for approval: what a plan shows before anything is done is what is done, on real hosts."""

from __future__ import annotations

import json
from itertools import count

import pytest

from datastores.domain.plan import Plan, Stage
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import make_driver
from datastores.drivers.ssh import SshDriver
from datastores.drivers.transfers import over_ssh, transfer
from datastores.hosts.authorized_keys import AuthorizedKeysPresent
from datastores.hosts.blocks import Filesystem
from datastores.hosts.contexts import Variable
from datastores.hosts.inspection import ImageIsSafe
from datastores.hosts.known import FactsKnown
from datastores.hosts.previews import preview
from datastores.hosts.runner import Run
from datastores.hosts.sources import SourceAllowed
from datastores.jobs.codec import encode_change
from datastores.jobs.steps import approving
from datastores.services.image_making import opening
from datastores.services.placing import preparing
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import MIB
from tests.lab.places import image, names_in, told
from tests.lab.transfers import route_between

pytestmark = pytest.mark.lab
hosts, base = places.hosts, places.base
_units = count()
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b01"
KINDS = [("shared", "/srv/plain"), ("qcow2", "/srv/plain"), ("btrfs", "/srv/btrfs"), ("xfs", "/srv/xfs")]


def approved(hosts: Hosts, *plan: Stage) -> Run:
    """Look at the plan, approve what it shows, and carry it out: exactly that, or it is stale."""
    shown = preview(plan, hosts.shell, Diary())
    assert [each.refused for each in shown if each.refused] == []
    assert any(each.change and each.change.actions for each in shown)
    stored = json.loads(json.dumps([encode_change(each.change) for each in shown]))
    unit = f"cloudstore-approved-{next(_units)}"
    run = Run(plan, hosts.shell, Diary(), unit=unit, approves=approving(stored))
    run.carry_out()
    return run


def volume(store: StorageDriver, number: int, format: Format, size: int = 64 * MIB) -> Volume:
    return Volume(store.image_path(f"0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b{number:02}", format), format, size)


def registering(store: StorageDriver, source: str, made: Volume) -> Plan:
    """The plan of ``image.register``."""
    return (
        Stage("check the path", (SourceAllowed("h1", source, ("/var/tmp",)),), gate=True),
        Stage("inspect", (ImageIsSafe("h1", source, made.format),)),
        Stage("copy", store.import_file(source, made)),
        Stage("inspect the copy", (ImageIsSafe("h1", made.path, made.format),)),
        *opening(store, made),
        *preparing(store, made),
    )


@pytest.mark.parametrize("format", [Format.RAW, Format.QCOW2])
@pytest.mark.parametrize(("kind", "base"), KINDS, indirect=["base"], ids=[kind for kind, _ in KINDS])
def test_whatever_is_done_to_images_and_disks_can_be_approved_first(
    hosts: Hosts, kind: str, base: str, format: Format
) -> None:
    store = make_driver(kind, host="h1", base=base, hosts=("h1",))
    source = f"/var/tmp/approved.{format}"
    image(hosts, "/var/tmp/approved.raw")
    if format is Format.QCOW2:
        told(hosts, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "/var/tmp/approved.raw", source)
    gold, copy, block = volume(store, 1, format), volume(store, 2, format), volume(store, 3, format)
    approved(hosts, *registering(store, source, gold))
    approved(hosts, Stage("create", store.create(block, Filesystem.EXT4)), *preparing(store, block))
    context = Stage("create", store.context(volume(store, 4, Format.ISO).path, (Variable("PASSWORD", "hunter2"),)))
    approved(hosts, context)
    approved(hosts, Stage("checksum", store.checksum(gold)))
    approved(hosts, Stage("clone", store.copy(gold, copy)), *preparing(store, copy))
    if "clone" in store.capabilities(format):
        made = "qcow2" if kind == "qcow2" else format
        for number in range(2):
            disk = Volume(store.disk_path(7, number), Format(made), gold.virtual_size)
            approved(hosts, Stage("disk", store.clone(gold, disk)))
        approved(hosts, Stage("delete", store.delete(disk)))
    approved(hosts, Stage("resize", store.resize(copy, 128 * MIB)), *preparing(store, copy))
    copy = volume(store, 2, format, 128 * MIB)
    if "snapshot" in store.capabilities(format):
        approved(hosts, Stage("snapshot", store.snapshot(copy, "one")))
        told(hosts, "touch", copy.path)
        approved(hosts, Stage("revert", store.revert(copy, "one")), *preparing(store, copy))
        approved(hosts, Stage("delete", store.delete_snapshot(copy, "one")))
    moved_and_deleted(hosts, store, copy)
    approved(hosts, Stage("delete", store.delete_image(block)))
    assert gold.path.rpartition("/")[2] in names_in(hosts, base)
    assert copy.path.rpartition("/")[2] not in names_in(hosts, base)


def moved_and_deleted(hosts: Hosts, store: StorageDriver, copy: Volume) -> None:
    """Move an image to another datastore, save it back, and delete it there."""
    format, other = copy.format, make_driver("xfs", host="h1", base="/srv/xfs", hosts=("h1",))
    there = volume(other, 9, format, 128 * MIB)
    approved(
        hosts,
        Stage("copy", transfer(store, copy, other, there, "h1")),
        *preparing(other, there),
        Stage("remove the old one", store.delete_image(copy)),
    )
    back = volume(store, 5, format, 128 * MIB)
    approved(hosts, Stage("save", transfer(other, there, store, back, "h1")), *preparing(store, back))
    approved(hosts, Stage("delete", other.delete_image(there)))


def test_a_disk_that_brings_its_image_to_the_cache_can_be_approved_first(hosts: Hosts) -> None:
    store = make_driver("ssh", host="h1", base="/srv/plain/cached", hosts=("h1", "h2"), options={"cache": True})
    assert isinstance(store, SshDriver)
    approved(hosts, *store.set_up())
    gold = volume(store, 1, Format.RAW)
    approved(hosts, Stage("create", store.create(gold, Filesystem.EXT4)))
    for name in ("h1", "h2"):
        there = store.at(name)
        old, copy = (there.cached_copy(UUID, str(held) * 16, Format.RAW) for held in range(2))
        disk = Volume(there.disk_path(7, 0), Format.QCOW2, gold.virtual_size)
        journey = over_ssh(store, gold, there.cache, copy, route_between(hosts, "h1", "h2")) if name != "h1" else None
        bring = journey.stages if journey else (Stage("copy", transfer(store, gold, there.cache, copy, "h1")),)
        known, ready = there.cached(copy)
        told(hosts, "touch", old.path, name=name)
        approved(
            hosts,
            Stage("make room", there.evicted(old)),
            Stage("checksum of the image", store.checksum(gold)),
            *bring,
            Stage("checksum of the copy", known),
            Stage("prepare clones", ready),
            Stage("disk", there.over(copy, disk, coming=True)),
            *(journey.after if journey else ()),
        )
        second = Volume(there.disk_path(8, 0), Format.QCOW2, gold.virtual_size)
        approved(hosts, Stage("disk", there.over(copy, second)))
        approved(hosts, Stage("delete", there.delete(disk)), Stage("delete", there.delete(second)))
        approved(hosts, Stage("evict", there.evicted(copy)))
    approved(hosts, Stage("delete", store.delete_image(gold)))
    approved(hosts, *store.tear_down())
    told(hosts, "rmdir", store.base)


def test_a_file_that_may_not_be_an_image_is_not_read_to_show_a_plan(hosts: Hosts, base: str) -> None:
    store = make_driver("shared", host="h1", base=base, hosts=("h1",))
    shown = preview(registering(store, "/etc/shadow", volume(store, 1, Format.RAW)), hosts.shell, Diary())
    assert "/etc/shadow" in shown[0].refused
    assert [each.refused for each in shown[1:] if each.refused] == []
    assert not any(each.change and each.change.actions for each in shown)


def test_a_host_can_be_onboarded_after_approval(hosts: Hosts) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ approved"
    approved(hosts, Stage("onboard", (AuthorizedKeysPresent("h3", "admin1", (key,)), FactsKnown("h3"))))

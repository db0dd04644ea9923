"""Ceph: a host becomes a client of a cluster, and each step on images is carried out in it and taken back."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator

import pytest

from datastores.domain.ceph import SNAP, Access, RbdImage
from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Command
from datastores.domain.volumes import Format, Volume
from datastores.drivers.registry import make_driver
from datastores.hosts import ceph as reads
from datastores.hosts.blocks import Filesystem
from datastores.hosts.ceph_files import CephKeyringPresent
from datastores.hosts.contexts import Variable
from datastores.hosts.opened import Opened
from datastores.hosts.rbd_checksums import RbdChecksumKnown
from datastores.hosts.rbd_clones import RbdCloned, RbdClonesPrepared, RbdFlattened
from datastores.hosts.rbd_contexts import RbdContextExists
from datastores.hosts.rbd_copies import RbdImageCopied, RbdImageExported, RbdImageImported
from datastores.hosts.rbd_images import RbdImageAbsent, RbdImageExists
from datastores.hosts.rbd_snapshots import RbdSnapshotExists, RbdSnapshotRestored, RbdSnapshotsAbsent
from datastores.hosts.rbd_stored import OnlyKnownRbdImages, RbdImageStored
from datastores.hosts.rbd_trash import RbdImageRestored, RbdTrashPurged
from tests.lab import ceph
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import MIB, image_script
from tests.lab.places import told

pytestmark = pytest.mark.lab

SIZE = 64 * MIB
ACCESS = Access()
"""Of the cluster called ceph, as h1 has it."""
OTHER = Access("two")
"""Of the same cluster under another name, as h2 is given it."""
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b1"
SECRET = "f3a1c9f0-6d7e-4c57-9d52-0f3c0a4b7d11"


def image(number: int, access: Access = ACCESS) -> RbdImage:
    return RbdImage(access, ceph.POOL, f"one-{UUID}{number}")


def disk(vm: int) -> RbdImage:
    return RbdImage(ACCESS, ceph.POOL, f"one-{vm}-0")


@pytest.fixture(scope="module")
def hosts(ceph_hosts: Hosts) -> Hosts:
    """h1 has the key, h2 has nothing yet."""
    ceph_hosts.run([CephKeyringPresent("h1", ACCESS, key_of(ceph_hosts))])
    return ceph_hosts


@pytest.fixture
def gold(hosts: Hosts) -> Iterator[RbdImage]:
    """An image with some bytes in it; afterwards the pool is empty."""
    made = image(1)
    hosts.run([RbdImageExists("h1", made, SIZE)])
    write(hosts, made, 0x5A)
    yield made
    hosts.run([RbdSnapshotsAbsent("h1", made, ("before",)), RbdImageAbsent("h1", made)])
    assert told(hosts, "rbd", "ls", ceph.POOL) == ""


def key_of(hosts: Hosts) -> str:
    return ceph.key(hosts.lab.host("h1"))


def write(hosts: Hosts, target: RbdImage, pattern: int) -> None:
    told(hosts, "qemu-io", "-f", "raw", "-c", f"write -P {pattern} 0 {MIB}", target.qemu)


def holds(hosts: Hosts, target: RbdImage, pattern: int) -> bool:
    said = told(hosts, "qemu-io", "-r", "-f", "raw", "-c", f"read -P {pattern} 0 {MIB}", target.qemu)
    return "Pattern verification failed" not in said


def test_a_disk_has_the_file_system_that_was_wanted(hosts: Hosts) -> None:
    made = image(2)
    hosts.there_and_back(RbdImageExists("h1", made, SIZE, Filesystem.EXT4))
    told(hosts, "rbd", "export", "--no-progress", made.spec, "/var/tmp/disk")
    assert told(hosts, "blkid", "-p", "-s", "TYPE", "-o", "value", "/var/tmp/disk").strip() == "ext4"
    told(hosts, "rm", "/var/tmp/disk")
    hosts.run([RbdImageAbsent("h1", made)])


def test_clones_are_made_of_the_image_as_it_is(hosts: Hosts, gold: RbdImage) -> None:
    hosts.there_and_back(RbdClonesPrepared("h1", gold), RbdCloned("h1", gold, disk(7)))
    write(hosts, gold, 0xC3)
    with pytest.raises(CommandFailed, match="Device or resource busy"):  # there is a clone of what was
        hosts.run([RbdClonesPrepared("h1", gold)])
    with pytest.raises(Refused, match=f"has clones .{ceph.POOL}/one-7-0"):
        hosts.run([RbdSnapshotsAbsent("h1", gold)])
    hosts.run([RbdFlattened("h1", disk(7)), RbdClonesPrepared("h1", gold), RbdCloned("h1", gold, disk(8))])
    assert holds(hosts, disk(7), 0x5A) and holds(hosts, disk(8), 0xC3)
    hosts.run([RbdImageAbsent("h1", disk(7)), RbdImageAbsent("h1", disk(8))])


def test_what_was_restored_is_restored_again_only_after_a_write(hosts: Hosts, gold: RbdImage) -> None:
    restored = RbdSnapshotRestored("h1", gold, "before")
    hosts.there_and_back(RbdSnapshotExists("h1", gold, "before"))
    write(hosts, gold, 0xC3)
    hosts.run([restored])
    assert holds(hosts, gold, 0x5A) and hosts.needs(restored) == [False]
    write(hosts, gold, 0x11)
    assert hosts.needs(restored) == [True]
    hosts.run([RbdClonesPrepared("h1", gold)])
    assert hosts.needs(restored) == [True]  # the snapshot for clones holds what was written since


def test_the_checksum_is_that_of_the_bytes(hosts: Hosts, gold: RbdImage) -> None:
    known = RbdClonesPrepared("h1", gold), RbdChecksumKnown("h1", gold)
    run = hosts.there_and_back(*known)
    expected = hashlib.sha256(bytes([0x5A]) * MIB + bytes(SIZE - MIB)).hexdigest()
    assert run.facts[1] == expected
    write(hosts, gold, 0xC3)
    assert hosts.needs(*known) == [True, True]
    assert hosts.run(known).facts[1] not in {expected, ""}


def test_a_deleted_image_comes_back_from_the_trash(hosts: Hosts) -> None:
    made = image(3)
    hosts.run([RbdImageExists("h1", made, SIZE)])
    write(hosts, made, 0x22)
    run = hosts.run([RbdImageAbsent("h1", made, 7)])
    (entry,) = json.loads(told(hosts, "rbd", "trash", "ls", "--long", "--format", "json", ceph.POOL))
    assert entry["name"] == made.name and entry["status"].startswith("protected until")
    hosts.take_back(run)
    assert holds(hosts, made, 0x22)
    hosts.run([RbdImageAbsent("h1", made, 7)])
    hosts.there_and_back(RbdImageRestored("h1", made))
    assert holds(hosts, made, 0x22)
    hosts.run([RbdImageAbsent("h1", made)])
    with pytest.raises(Refused, match="not in the trash"):
        hosts.run([RbdImageRestored("h1", made)])
    hosts.there_and_back(RbdTrashPurged("h1", ACCESS, ceph.POOL))
    told(hosts, "rbd", "trash", "purge", "schedule", "remove", "--pool", ceph.POOL)


def test_files_become_images_and_images_become_files(hosts: Hosts) -> None:
    raw, qcow2, back = "/var/tmp/a.raw", "/var/tmp/a.qcow2", "/var/tmp/b.qcow2"
    told(hosts, *image_script(raw, virtual=SIZE, data=8 * MIB))
    told(hosts, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2)
    made = image(4)
    hosts.there_and_back(RbdImageImported("h1", Opened(qcow2, "qcow2", 0), made, compared=True))
    told(hosts, "qemu-img", "compare", "-f", "raw", "-F", "raw", raw, made.qemu)
    hosts.there_and_back(RbdImageExported("h1", made, back, Format.QCOW2, compared=True))
    told(hosts, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, back)
    hosts.run([RbdImageAbsent("h1", made)])
    told(hosts, "rm", raw, qcow2, back)


def test_a_copy_within_the_cluster_is_compared_before_its_original_goes(hosts: Hosts, gold: RbdImage) -> None:
    made = image(7)
    hosts.there_and_back(RbdImageCopied("h1", gold, made, compared=True))
    assert holds(hosts, made, 0x5A)
    hosts.run([RbdImageAbsent("h1", made)])

    def spoil(action: Action) -> None:
        if "compare" in str(action.do):
            write(hosts, made.part, 0x11)

    with pytest.raises(CommandFailed, match="differs from what it was made of"):
        hosts.run([RbdImageCopied("h1", gold, made, compared=True)], diary=Diary(before_action=spoil))
    assert holds(hosts, gold, 0x5A)
    assert told(hosts, "rbd", "ls", ceph.POOL).split() == [gold.name], "nothing of the copy is left"


def test_a_context_is_an_image(hosts: Hosts) -> None:
    made = image(6)
    hosts.there_and_back(RbdContextExists("h1", made, (Variable("HOSTNAME", "web1"),)))
    told(hosts, "rbd", "export", "--no-progress", made.spec, "/var/tmp/context.iso")
    assert "HOSTNAME='web1'" in told(hosts, "isoinfo", "-i", "/var/tmp/context.iso", "-R", "-x", "/context.sh")
    assert told(hosts, "find", "/var/tmp", "-name", "one-*") == ""
    told(hosts, "rm", "/var/tmp/context.iso")
    hosts.run([RbdImageAbsent("h1", made)])


def test_what_somebody_removed_or_left_is_found(hosts: Hosts, gold: RbdImage) -> None:
    stored, only = RbdImageStored("h1", gold, SIZE), OnlyKnownRbdImages("h1", ACCESS, ceph.POOL, (gold.name,))
    assert hosts.needs(stored, only) == [False, False]
    told(hosts, "rbd", "rename", gold.spec, image(9).spec)
    with pytest.raises(Refused, match="There is no such image"):
        hosts.run([stored])
    with pytest.raises(Refused, match=image(9).name):
        hosts.run([only])
    told(hosts, "rbd", "rename", image(9).spec, gold.spec)


def test_a_clone_costs_two_reads_beside_rbd_itself(hosts: Hosts, gold: RbdImage) -> None:
    hosts.run([RbdClonesPrepared("h1", gold)])
    shell, times = hosts.shell("h1"), {"raw": [], "step": []}
    for vm in range(20, 30):
        began = time.monotonic()
        shell.run(Command(disk(vm).rbd("clone", gold.at(SNAP), disk(vm).spec)))
        times["raw"].append(time.monotonic() - began)
        began = time.monotonic()
        hosts.run([RbdCloned("h1", gold, disk(vm + 100))])
        times["step"].append(time.monotonic() - began)
    raw, step = (sorted(times[name])[5] for name in ("raw", "step"))
    print(f"rbd clone {raw * 1000:.0f} ms, as a step {step * 1000:.0f} ms")
    for vm in range(20, 30):
        hosts.run([RbdImageAbsent("h1", disk(vm)), RbdImageAbsent("h1", disk(vm + 100))])
    assert step < raw + 0.5
    assert reads.DEADLINE <= 20
    driver = make_driver("ceph", host="h1", base="/srv/kind", options={"pool": ceph.POOL})
    assert len(driver.clone(Volume(gold.spec, Format.RAW), Volume(disk(7).spec, Format.RAW))[0].reads()) == 1

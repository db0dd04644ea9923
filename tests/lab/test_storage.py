"""Images and disks on real file systems: made, verified, taken back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from datastores.domain.errors import Refused
from datastores.domain.plan import AnyStep
from datastores.domain.volumes import Format
from datastores.hosts.blocks import DataBlockExists, Filesystem
from datastores.hosts.contexts import ContextFile, ContextIsoExists, Variable
from datastores.hosts.copies import FileConverted, FileCopied, Ownership
from datastores.hosts.disks import DiskAbsent, DiskLinked
from datastores.hosts.overlays import OverlayExists, OverlayTemplateKept
from datastores.hosts.reflinks import FileReverted, ReflinkExists
from datastores.hosts.sizes import ImageResized
from datastores.hosts.snapshots import SnapshotAbsent, SnapshotExists, SnapshotRestored
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.disks import MIB
from tests.lab.places import PLACES, image, names_in, on, same, told

pytestmark = pytest.mark.lab
hosts, base = places.hosts, places.base
NAMES = ("plain", "a b;$(id)`id`'\"|&<>", "-rf", "ä€ \\n%s*?[x]", "a,driver=raw:b=c")


@on(*PLACES)
def test_a_full_copy_is_made_and_taken_back(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    target = f"{base}/7/disk.0"
    hosts.there_and_back(FileCopied("h1", source, target, Ownership("nobody", "nogroup", "0640"), True))
    assert same(hosts, source, target)
    assert told(hosts, "stat", "-c", "%U:%G %a", target) == "nobody:nogroup 640\n"
    assert names_in(hosts, base) == {"gold.raw", "7", "7/disk.0"}
    size, blocks = map(int, told(hosts, "stat", "-c", "%s %b", target).split())
    assert size == 64 * MIB and blocks * 512 < 16 * MIB  # still sparse


@on(*PLACES)
def test_a_conversion_is_made_and_taken_back(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    there, back = f"{base}/gold.qcow2", f"{base}/back.raw"
    hosts.there_and_back(FileConverted("h1", source, "raw", there, Format.QCOW2))
    hosts.there_and_back(FileConverted("h1", there, "qcow2", back, Format.RAW))
    assert same(hosts, source, back)
    assert names_in(hosts, base) == {"gold.raw", "gold.qcow2", "back.raw"}


@on(*PLACES)
def test_an_overlay_is_made_and_taken_back(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    target = f"{base}/7/disk.0"
    hosts.there_and_back(OverlayExists("h1", source, Format.RAW, target, True))
    hosts.run([FileConverted("h1", target, "qcow2", f"{base}/flat.raw", Format.RAW)])
    assert same(hosts, source, f"{base}/flat.raw")


@on(*PLACES)
@pytest.mark.parametrize("format", [Format.RAW, Format.QCOW2])
def test_an_overlay_is_a_copy_of_the_template_that_its_image_keeps(hosts: Hosts, base: str, format: Format) -> None:
    source, target = image(hosts, f"{base}/gold.raw"), f"{base}/7/disk.0"
    if format is Format.QCOW2:
        hosts.run([FileConverted("h1", source, "raw", f"{base}/gold.qcow2", format)])
    master = f"{base}/gold.{format}"
    template = OverlayTemplateKept("h1", master, format)
    hosts.there_and_back(template)
    hosts.run([template, OverlayExists("h1", master, format, target, True)])
    told(hosts, "cmp", "--", template.path, target)
    told(hosts, "qemu-img", "check", "-q", "-f", "qcow2", target)
    hosts.run([FileConverted("h1", target, "qcow2", f"{base}/flat.raw", Format.RAW)])
    assert same(hosts, source, f"{base}/flat.raw")
    hosts.run([ImageResized("h1", master, format, 80 * MIB), template])  # made anew, as large as the image is now
    hosts.run([OverlayExists("h1", master, format, f"{base}/8/disk.0", True)])
    assert json.loads(told(hosts, "qemu-img", "info", "--output=json", f"{base}/8/disk.0"))["virtual-size"] == 80 * MIB


@on("/srv/btrfs", "/srv/xfs")
def test_a_clone_is_made_and_taken_back_and_is_a_disk_of_its_own(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    before = told(hosts, "sha256sum", "--", source)
    target = f"{base}/7/disk.0"
    hosts.there_and_back(ReflinkExists("h1", source, target, True))
    assert same(hosts, source, target)
    told(hosts, "dd", "if=/dev/urandom", f"of={target}", "bs=1M", "count=2", "conv=notrunc,fsync", "status=none")
    assert told(hosts, "sha256sum", "--", source) == before
    assert not same(hosts, source, target)
    with pytest.raises(Refused, match="size or time differ"):
        hosts.run([ReflinkExists("h1", source, target, True)])  # it is a disk in use by now


@on("/srv/btrfs", "/srv/xfs", "/srv/plain")
def test_names_that_mean_something_to_a_shell_or_to_qemu_are_only_names(hosts: Hosts, base: str) -> None:
    for number, name in enumerate(NAMES):
        source = image(hosts, f"{base}/{name}", virtual=4 * MIB, data=MIB)
        qcow2 = f"{base}/{number}{name}.qcow2"
        steps: list[AnyStep] = [
            FileCopied("h1", source, f"{base}/{number}/{name}", with_directory=True),
            FileConverted("h1", source, "raw", qcow2, Format.QCOW2),
            OverlayExists("h1", qcow2, Format.QCOW2, f"{base}/{number}{name}.overlay"),
            DiskLinked("h1", f"{base}/link{number}/{name}", source),
        ]
        if "plain" not in base:
            steps.append(ReflinkExists("h1", source, f"{base}/{number}{name}.clone"))
        hosts.there_and_back(*steps)
        hosts.there_and_back(SnapshotExists("h1", qcow2, "one"))
        hosts.run([SnapshotAbsent("h1", qcow2, "one"), ImageResized("h1", source, Format.RAW, 8 * MIB)])
        hosts.run([DiskAbsent("h1", f"{base}/{number}/{name}", base)])
        assert str(number) not in names_in(hosts, base)


@on(*PLACES)
def test_growing_keeps_a_copy_recognisable_and_never_shrinks(hosts: Hosts, base: str) -> None:
    source, raw, qcow2 = image(hosts, f"{base}/gold.raw"), f"{base}/1/disk.0", f"{base}/2/disk.0"
    steps: list[AnyStep] = [
        FileCopied("h1", source, raw, with_directory=True),
        ImageResized("h1", raw, Format.RAW, 128 * MIB),
        FileConverted("h1", source, "raw", qcow2, Format.QCOW2, with_directory=True),
        ImageResized("h1", qcow2, Format.QCOW2, 128 * MIB),
    ]
    hosts.run(steps)
    assert hosts.needs(*steps) == [False] * 4
    for path, format in ((raw, Format.RAW), (qcow2, Format.QCOW2)):
        with pytest.raises(Refused, match="would cut off data"):
            hosts.run([ImageResized("h1", path, format, 64 * MIB)])


@on("/srv/btrfs", "/srv/xfs")
def test_a_file_snapshot_brings_the_old_bytes_back(hosts: Hosts, base: str) -> None:
    path = image(hosts, f"{base}/gold.raw")
    before = told(hosts, "sha256sum", "--", path)
    snapshot = f"{path}.snap/before upgrade"
    hosts.there_and_back(ReflinkExists("h1", path, snapshot, True))
    told(hosts, "dd", "if=/dev/urandom", f"of={path}", "bs=1M", "count=2", "conv=notrunc,fsync", "status=none")
    hosts.run([FileReverted("h1", snapshot, path, Format.RAW)])
    assert hosts.needs(FileReverted("h1", snapshot, path, Format.RAW)) == [False]
    assert told(hosts, "sha256sum", "--", path) == before
    hosts.run([DiskAbsent("h1", snapshot, base)])
    assert names_in(hosts, base) == {"gold.raw"}


@on(*PLACES)
def test_a_qcow2_snapshot_brings_the_old_bytes_back(hosts: Hosts, base: str) -> None:
    source, path = image(hosts, f"{base}/gold.raw"), f"{base}/gold.qcow2"
    hosts.run([FileConverted("h1", source, "raw", path, Format.QCOW2)])
    hosts.there_and_back(SnapshotExists("h1", path, "before upgrade"))
    told(hosts, "qemu-img", "resize", "-q", "-f", "qcow2", path, "128M")
    hosts.run([SnapshotRestored("h1", path, "before upgrade")])
    assert hosts.needs(SnapshotRestored("h1", path, "before upgrade")) == [False]
    hosts.run([FileConverted("h1", path, "qcow2", f"{base}/again.raw", Format.RAW)])
    assert same(hosts, source, f"{base}/again.raw")
    hosts.run([SnapshotAbsent("h1", path, "before upgrade")])
    assert hosts.needs(SnapshotAbsent("h1", path, "before upgrade")) == [False]


@on("/srv/xfs", "/srv/plain")
@pytest.mark.parametrize("format", [Format.RAW, Format.QCOW2])
@pytest.mark.parametrize("filesystem", [each for each in Filesystem if each is not Filesystem.VFAT])
def test_a_data_block_is_made_and_taken_back(hosts: Hosts, base: str, format: Format, filesystem: Filesystem) -> None:
    path = f"{base}/new.{format}"
    hosts.there_and_back(DataBlockExists("h1", path, format, 320 * MIB, filesystem, Ownership("nobody", "", "0600")))
    assert names_in(hosts, base) == {f"new.{format}"}
    assert told(hosts, "stat", "-c", "%U %a", path) == "nobody 600\n"
    if format is Format.QCOW2:
        hosts.run([FileConverted("h1", path, "qcow2", f"{base}/new.raw", Format.RAW)])
    found = hosts.lab.host("h1").run(["blkid", "-p", "-s", "TYPE", "-o", "value", f"{base}/new.raw"])
    assert found.stdout.strip() == filesystem


def test_a_context_says_in_the_guest_what_was_said_here(hosts: Hosts, base: str) -> None:
    evil = 'it\'s "$(touch /tmp/pwned)" `id` \\ $HOME\nsecond line'
    files = (ContextFile("init.sh", "#!/bin/sh\necho ä\n"),)
    step = ContextIsoExists(
        "h1", f"{base}/7/disk.1", (Variable("A", evil), Variable("B", "")), files, with_directory=True
    )
    hosts.there_and_back(step)
    assert names_in(hosts, base) == {"7", "7/disk.1"}
    assert told(hosts, "blkid", "-p", "-s", "LABEL", "-o", "value", step.path) == "CONTEXT\n"
    script = told(hosts, "isoinfo", "-R", "-x", "/context.sh", "-i", step.path)
    shown = told(hosts, "env", "-i", "sh", "-c", '. /dev/stdin; printf "%s|%s" "$A" "$B"', stdin=script)
    assert shown == f"{evil}|"
    assert told(hosts, "isoinfo", "-R", "-x", "/init.sh", "-i", step.path) == files[0].content
    hosts.run([replace(step, variables=(Variable("A", "other"),))])
    assert "other" in told(hosts, "isoinfo", "-R", "-x", "/context.sh", "-i", step.path)
    with pytest.raises(Refused, match="not a context made here"):
        hosts.run([replace(step, path=image(hosts, f"{base}/7/disk.0", virtual=MIB, data=MIB // 2))])

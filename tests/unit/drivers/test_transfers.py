"""Images on their way between datastores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from datastores.domain.errors import Refused, Unsupported
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import make_driver
from datastores.drivers.shared import SharedDriver
from datastores.drivers.transfers import common_format, common_host, transfer
from datastores.hosts.copies import FileConverted, FileCopied, Ownership

ONE = Ownership("root", "root", "0660")


def store(kind: str, *hosts: str, base: str = "/srv/a", **options: Any) -> StorageDriver:
    return make_driver(kind, host=hosts[0], base=base, hosts=hosts, options=options)


SHARED = store("shared", "nas", "h1", "h2", base="/srv/nfs")


@dataclass(frozen=True, slots=True)
class RawOnly(SharedDriver):
    """A kind that keeps nothing but raw."""

    formats: ClassVar[tuple[Format, ...]] = (Format.RAW,)
    exports: ClassVar[tuple[Format, ...]] = (Format.RAW,)
    imports: ClassVar[tuple[Format, ...]] = (Format.RAW,)


def test_the_copy_runs_where_both_are_seen_at_the_target_if_possible() -> None:
    assert common_host(SHARED, store("btrfs", "h1")) == "h1"
    assert common_host(store("btrfs", "h2"), SHARED) == "h2"
    assert common_host(SHARED, store("shared", "nas", "h2", base="/srv/b")) == "nas"
    assert common_host(SHARED, store("xfs", "h9", "h2", exported=True)) == "h2"


def test_two_datastores_without_a_common_host_are_told_so() -> None:
    with pytest.raises(Unsupported, match="No host sees both /srv/a on h1 and /srv/a on h2"):
        common_host(store("btrfs", "h1"), store("xfs", "h2"))
    with pytest.raises(Unsupported, match="No host sees both"):
        common_host(SHARED, store("xfs", "h9", "h2"))  # h2 belongs to it, but does not see its files


def test_an_image_keeps_its_format_where_it_may() -> None:
    raw_only = RawOnly("nas", "/srv/raw", ("nas", "h1"), SHARED.options)
    assert common_format(SHARED, store("btrfs", "h1"), Format.RAW) is Format.RAW
    assert common_format(SHARED, raw_only, Format.QCOW2) is Format.RAW
    with pytest.raises(Unsupported, match="no format in common for iso images"):
        common_format(SHARED, raw_only, Format.ISO)


def test_the_same_format_is_copied_and_another_converted() -> None:
    local = store("btrfs", "h1", base="/srv/btrfs")
    source = Volume("/srv/nfs/a.qcow2", Format.QCOW2)
    same = Volume("/srv/btrfs/b.qcow2", Format.QCOW2)
    other = Volume("/srv/btrfs/b.raw", Format.RAW)
    assert transfer(SHARED, source, local, same, "h1") == (FileCopied("h1", source.path, same.path, ONE),)
    converted = FileConverted("h1", source.path, "qcow2", other.path, Format.RAW, ONE)
    assert transfer(SHARED, source, local, other, "h1") == (converted,)


def test_an_overlay_arrives_as_a_whole_image() -> None:
    overlays = store("qcow2", "nas", "h1", base="/srv/q")
    disk, image = Volume("/srv/q/7/disk.0", Format.QCOW2), Volume("/srv/nfs/c.qcow2", Format.QCOW2)
    (step,) = transfer(overlays, disk, SHARED, image, "nas")
    assert step == FileConverted("nas", disk.path, "qcow2", image.path, Format.QCOW2, ONE)


def test_the_copy_lies_in_the_target_and_has_a_format_that_it_takes() -> None:
    local = store("btrfs", "h1", base="/srv/btrfs")
    source = Volume("/srv/nfs/a.qcow2", Format.QCOW2)
    with pytest.raises(Refused, match="does not lie in the datastore"):
        transfer(SHARED, source, local, Volume("/srv/nfs/b.qcow2", Format.QCOW2), "h1")
    raw_only = RawOnly("nas", "/srv/raw", ("nas", "h1"), SHARED.options)
    with pytest.raises(Unsupported, match="take no qcow2 images"):
        transfer(SHARED, source, raw_only, Volume("/srv/raw/b.qcow2", Format.QCOW2), "nas")

"""Images on their way between datastores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from datastores.domain.errors import Refused, Unsupported
from datastores.domain.routes import Route
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import make_driver
from datastores.drivers.shared import SharedDriver
from datastores.drivers.transfers import Way, common_format, common_host, over_ssh, transfer, way
from datastores.hosts.copies import FileConverted, FileCopied, Ownership
from datastores.hosts.receiving import FileReceived, ReceivingForgotten, SourceReachable
from datastores.hosts.sending import SendingAllowed, SendingEnded

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmFh5OFy+kJkYcU0Fh5Bt7DhSWyHmNMlvT4o9Uu0Y2a"
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB3rcWf6S0j9wnYmBkUpxv1vDTy0nRzkrYfXYx8c8Vw1"
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


def test_between_two_datastores_without_a_common_host_the_targets_host_fetches_over_ssh() -> None:
    assert way(store("btrfs", "h1"), Format.RAW, store("xfs", "h2")) == Way("h2", Format.RAW, "h1")
    there = store("xfs", "h9", "h2")  # h2 belongs to it, but does not see its files
    assert way(SHARED, Format.QCOW2, there) == Way("h9", Format.QCOW2, "nas")
    assert way(SHARED, Format.QCOW2, store("btrfs", "h1")) == Way("h1", Format.QCOW2)


@pytest.mark.parametrize("kind", ["lvm", "iscsi"])
def test_volumes_on_devices_are_not_sent_from_host_to_host(kind: str) -> None:
    volumes, files = store(kind, "h1", disks="/dev/vdb"), store("xfs", "h2")
    for source, target in ((volumes, files), (files, volumes)):
        with pytest.raises(Unsupported, match="are not sent from host to host"):
            way(source, Format.RAW, target)


def route(limit: int = 0) -> Route:
    return Route("9a1f03", "h1", "h2", "10.0.0.1", 22, "root", (HOST_KEY,), ("10.0.0.2",), PUBLIC, "private", limit)


def test_an_image_is_fetched_as_it_is_and_nothing_of_the_transfer_is_left() -> None:
    here, there = store("btrfs", "h1", base="/srv/here"), store("xfs", "h2", base="/srv/there")
    source, copy = Volume("/srv/here/a.raw", Format.RAW, 9, 5), Volume("/srv/there/b.raw", Format.RAW)
    journey = over_ssh(here, source, there, copy, route())
    assert [step for stage in (*journey.stages, *journey.after) for step in stage.steps] == [
        SourceReachable(route()),
        SendingAllowed(route(), source.path),
        FileReceived(route(), copy.path, ONE, data=5),
        SendingEnded(route()),
        ReceivingForgotten(route()),
    ]


def test_what_has_to_be_converted_is_made_a_file_of_its_own_first() -> None:
    here, there = store("qcow2", "h1", base="/srv/here"), store("xfs", "h2", base="/srv/there")
    disk, copy = Volume("/srv/here/7/disk.0", Format.QCOW2), Volume("/srv/there/b.qcow2", Format.QCOW2)
    made = "/srv/here/transfer-9a1f03.part"
    steps = [step for stage in over_ssh(here, disk, there, copy, route()).stages for step in stage.steps]
    private = Ownership("root", "root", "0600")
    assert steps[1] == FileConverted("h1", disk.path, "qcow2", made, Format.QCOW2, private)
    assert steps[2:4] == [SendingAllowed(route(), made, coming=True), FileReceived(route(), copy.path, ONE)]
    assert steps[4] == SendingEnded(route(), made)


def test_an_image_is_fetched_into_the_datastore_only() -> None:
    here, there = store("btrfs", "h1", base="/srv/here"), store("xfs", "h2", base="/srv/there")
    inside, outside = Volume("/srv/there/a.raw", Format.RAW), Volume("/etc/a.raw", Format.RAW)
    with pytest.raises(Refused, match="does not lie in the datastore"):
        over_ssh(here, Volume("/srv/here/a.raw", Format.RAW), there, outside, route())
    with pytest.raises(Refused, match="does not lie in the datastore"):
        over_ssh(here, outside, there, inside, route())
    with pytest.raises(Unsupported, match="take no qcow2 images"):
        only = RawOnly("h2", "/srv/there", ("h2",), SHARED.options)
        over_ssh(here, Volume("/srv/here/a.raw", Format.RAW), only, Volume("/srv/there/a", Format.QCOW2), route())


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

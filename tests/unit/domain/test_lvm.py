"""Names of LVM, and sizes in extents."""

from __future__ import annotations

import pytest

from datastores.domain.errors import BadInput
from datastores.domain.lvm import device_path, group_name, prefix, snapshot_name, volume_name, whole_extents

IMAGE = "lv-one-0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"


@pytest.mark.parametrize("name", ["vg-one", "vg_one", "a+b.c", "VG1"])
def test_names_of_lvm_are_taken(name: str) -> None:
    assert group_name(name) == volume_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "-vg", "vg one", "vg/one", 'vg"one', "snapshot1", "pvmove0", "x_tdata", "x_tmeta", "x_pmspare",
     "vg\n", "v" * 128],
)  # fmt: skip
def test_names_that_lvm_refuses_or_keeps_for_itself_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="keeps for itself"):
        volume_name(name)


def test_what_names_begin_with_is_short() -> None:
    assert prefix("lv-one-") == "lv-one-"
    with pytest.raises(BadInput):
        prefix("l" * 17)


def test_snapshots_have_readable_names_of_their_own() -> None:
    names = [snapshot_name(IMAGE, name) for name in ("before upgrade", "before+upgrade", "n" * 128, "n" * 127, "1")]
    assert names[0].startswith(f"{IMAGE}.before.upgrade.")
    assert len(set(names)) == len(names)
    # the kernel's limit, in which a dash counts twice; with a group of 32 characters, and what LVM appends
    assert all(len(name) + name.count("-") + 33 + len("-tpool") <= 127 for name in names)


def test_a_size_is_whole_extents() -> None:
    assert whole_extents(1, 4 << 20) == whole_extents(4 << 20, 4 << 20) == 4 << 20
    assert whole_extents((4 << 20) + 1, 4 << 20) == 8 << 20


@pytest.mark.parametrize("path", ["sdb", "/srv/sdb", "/dev/../etc/passwd", "/dev/a,b"])
def test_a_disk_is_a_device(path: str) -> None:
    with pytest.raises(BadInput):
        device_path(path)

"""Names, layouts and properties of ZFS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain.errors import BadInput
from datastores.domain.zfs import (
    Disks,
    Layout,
    Property,
    dataset_name,
    disk_device,
    in_words,
    of_people,
    pool_name,
    pool_of,
    record_size,
    size_property,
    snapshot_name,
)


@pytest.mark.parametrize("name", ["tank", "tank/cloud", "rpool/export/home/cloud", "t-1.a_b/images/7.0:x"])
def test_names_of_data_sets(name: str) -> None:
    assert dataset_name(name) == name
    assert pool_of(name) == name.split("/", maxsplit=1)[0]


@pytest.mark.parametrize(
    "name",
    [
        "", "/tank", "tank/", "tank//a", "tank/..", "tank/a b", "tank/a@gold", "tank/a#mark", "tank/%x", "-o",
        "tank/-r", "mirror", "mirror1/a", "raidz", "raidz2/a", "draid", "spare", "log", "c0t0d0", "7tank", "tank/a\n",
        "tank/" + "a" * 300,
    ],
)  # fmt: skip
def test_what_is_no_name_of_a_data_set(name: str) -> None:
    with pytest.raises(BadInput):
        dataset_name(name)


def test_a_pool_has_no_slash() -> None:
    assert pool_name("logs") == "logs"
    with pytest.raises(BadInput, match="no slash"):
        pool_name("tank/a")


def test_snapshots_of_people_never_have_the_name_of_the_golden_one() -> None:
    assert snapshot_name("tank/a", of_people("gold")) == "tank/a@snap:gold"
    assert snapshot_name("tank/a", of_people("before upgrade")) == "tank/a@snap:before upgrade"
    assert (in_words("tank/a@snap:before upgrade"), in_words("tank/a@gold")) == ("before upgrade", "@gold")


@given(
    st.text("abcXYZ019 ._+-", min_size=1, max_size=128).filter(lambda name: name.strip() == name and name[0].isalnum())
)
def test_the_name_of_a_snapshot_is_what_people_called_it(name: str) -> None:
    assert in_words(snapshot_name("tank/images/x", of_people(name))) == name


@pytest.mark.parametrize("name", ["", " a", "a ", "a/b", "a@b", "-r", "a,b", "a%b"])
def test_what_is_no_name_of_a_snapshot(name: str) -> None:
    with pytest.raises(BadInput):
        of_people(name)


def test_a_name_that_is_too_long_with_its_snapshot() -> None:
    with pytest.raises(BadInput, match="at most 255"):
        snapshot_name("tank/" + "a" * 150, "b" * 128)


A, B, C, D = (f"/dev/disk/by-id/wwn-0x{number}" for number in range(4))


@pytest.mark.parametrize(
    ("disks", "words"),
    [
        (Disks(Layout.STRIPE, (A, B)), (A, B)),
        (Disks(Layout.MIRROR, (A, B)), ("mirror", A, B)),
        (Disks(Layout.RAIDZ1, (A, B, C)), ("raidz1", A, B, C)),
        (Disks(Layout.STRIPE, (A,), (B,), (C, D)), (A, "log", B, "cache", C, D)),
        (Disks(Layout.STRIPE, (A,), (B, C)), (A, "log", "mirror", B, C)),
    ],
)
def test_disks_in_the_words_of_zpool(disks: Disks, words: tuple[str, ...]) -> None:
    assert disks.words == words


@pytest.mark.parametrize(
    ("layout", "data"),
    [
        (Layout.STRIPE, ()),
        (Layout.MIRROR, (A,)),
        (Layout.RAIDZ1, (A, B)),
        (Layout.RAIDZ2, (A, B, C)),
        (Layout.MIRROR, (A, A)),
    ],
)
def test_too_few_disks_or_one_twice(layout: Layout, data: tuple[str, ...]) -> None:
    with pytest.raises(BadInput):
        Disks(layout, data)


@pytest.mark.parametrize("path", ["vdb", "/etc/passwd", "/dev/../etc/passwd", "/dev//vdb", "/dev/vd b", "/dev/$(id)"])
def test_what_is_no_disk(path: str) -> None:
    with pytest.raises(BadInput):
        disk_device(path)


def test_properties_are_as_zfs_takes_them() -> None:
    assert str(size_property("quota", "2T")) == f"quota={2 << 40}"
    assert str(size_property("quota", "")) == "quota=none"
    assert size_property("reservation", "0") == Property("reservation", "0")
    assert str(record_size("64K")) == "recordsize=65536"


@pytest.mark.parametrize("size", ["3K", "48K", "2M", "512"])
def test_what_is_no_record_size(size: str) -> None:
    with pytest.raises(BadInput, match="power of two"):
        record_size(size)


@pytest.mark.parametrize(
    ("name", "value"), [("compression", "lz4;id"), ("com pression", "on"), ("quota", "2G"), ("-o", "")]
)
def test_what_is_no_property(name: str, value: str) -> None:
    with pytest.raises(BadInput):
        Property(name, value)

"""Who may mount a volume, and who a directory of it."""

from __future__ import annotations

import pytest

from datastores.domain.errors import BadInput
from datastores.domain.gluster import access_list, option_value
from datastores.domain.gluster_partitions import Partition, allowed, let_in, missing_in

BLUE = Partition("blue", ("10.0.0.7", "10.0.3.*"))


def test_without_partitions_the_list_is_that_of_the_hosts() -> None:
    assert allowed("10.0.0.1,10.0.0.2", ()) == "10.0.0.1,10.0.0.2"


def test_with_partitions_every_entry_names_a_directory() -> None:
    told = allowed("10.0.0.1,10.0.0.2", (BLUE, Partition("red", ("10.9.0.0/24",))))
    assert told == "/(10.0.0.1|10.0.0.2),/partitions/blue(10.0.0.7|10.0.3.*),/partitions/red(10.9.0.0/24)"
    assert option_value("auth.allow", told) == told


@pytest.mark.parametrize(
    ("name", "addresses", "why"),
    [
        ("../etc", ("10.0.0.7",), "no name of a partition"),
        ("a,b", ("10.0.0.7",), "no name of a partition"),
        ("blue", (), "which addresses may mount"),
        ("blue", ("h7",), "no address"),
        ("blue", ("10.0.0.7),/(*",), "no address"),
    ],
)
def test_what_would_let_in_others_is_no_partition(name: str, addresses: tuple[str, ...], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        Partition(name, addresses)


@pytest.mark.parametrize(
    "value", ["/a(10.0.0.7),10.0.0.8", "/a()", "/a(10.0.0.7", "/a b(10.0.0.7)", "/a(h1)", "/../a(10.0.0.7)"]
)
def test_other_forms_are_no_access_list(value: str) -> None:
    with pytest.raises(BadInput):
        access_list(value)


@pytest.mark.parametrize(
    ("value", "then"),
    [
        ("10.0.0.1,h2", "10.0.0.1,h2,h1,h3"),
        ("/(10.0.0.1|h2),/partitions/h1(h1|10.0.0.7)", "/(10.0.0.1|h2|h1|h3),/partitions/h1(h1|10.0.0.7)"),
    ],
)
def test_names_of_the_pool_come_to_those_who_may_mount_the_whole_volume(value: str, then: str) -> None:
    missing = missing_in(value, ("h1", "h2", "h3"))
    assert missing == ["h1", "h3"]
    assert let_in(value, missing) == then
    assert missing_in(then, ("h1", "h2", "h3")) == []

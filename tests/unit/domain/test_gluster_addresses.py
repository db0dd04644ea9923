"""Which lists of who may mount let in one and the same host."""

from __future__ import annotations

import pytest

from datastores.domain.gluster_addresses import first_shared, share


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("10.0.0.7", "*"),
        ("fd00::7", "*"),
        ("fd00::7", "fd00::/64"),
        ("10.0.3.7", "10.0.*"),
        ("10.1.2.7", "10.*.7"),
        ("10.0.3.7", "*.7"),
        ("10.0.3.*", "10.0.*"),
        ("10.*", "*.7"),
        ("10.0.3.0/25", "10.0.*.127"),
        ("10.0.0.0/8", "10.9.0.0/16"),
        ("0.0.0.0/0", "10.0.*"),
    ],
)
def test_entries_that_stand_for_one_address_share_it(one: str, other: str) -> None:
    assert share(one, other) and share(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.0.0.7", "10.0.0.8"),
        ("10.0.3.*", "10.0.4.*"),
        ("10.0.3.7", "10.1.*"),
        ("10.0.3.0/25", "10.0.*.128"),
        ("10.0.3.0/24", "10.0.4.0/24"),
        ("fd00::7", "10.*"),
        ("fd00::7", "fd01::/64"),
    ],
)
def test_others_share_none(one: str, other: str) -> None:
    assert not share(one, other) and not share(other, one)


def test_the_first_that_are_shared_are_told() -> None:
    assert first_shared(("10.0.0.7", "10.0.3.7"), ("10.0.1.*", "10.0.3.*")) == ("10.0.3.7", "10.0.3.*")
    assert first_shared(("10.0.0.7",), ("10.0.0.8",)) is None

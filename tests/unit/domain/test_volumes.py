"""The names under which a machine sees its disks."""

from __future__ import annotations

import pytest

from datastores.domain.volumes import target_name


@pytest.mark.parametrize(("number", "name"), [(0, "vda"), (25, "vdz"), (26, "vdaa"), (701, "vdzz"), (702, "vdaaa")])
def test_disks_are_counted_by_letters_as_linux_does(number: int, name: str) -> None:
    assert target_name(number) == name


def test_a_cd_is_told_from_a_disk() -> None:
    assert target_name(2, cd=True) == "hdc"

"""How large a disk is for its guest after it was taken back to a file snapshot."""

from __future__ import annotations

import pytest

from datastores.domain.plan import Output
from datastores.domain.volumes import Format
from datastores.hosts.reflinks import FileReverted

SNAPSHOT = b"81b0/5/0/512/27:20/1/root/root/660/1.000000000//srv/a.snap/s\0"
INFO = b'{"format": "qcow2", "virtual-size": 7}'


@pytest.mark.parametrize(("format", "size"), [(Format.RAW, 5), (Format.QCOW2, 7)])
def test_a_file_of_five_bytes_may_be_a_disk_of_seven(format: Format, size: int) -> None:
    step = FileReverted("h1", "/srv/a.snap/s", "/srv/a", format)
    answers = [Output(1, SNAPSHOT, "stat: x: No such file or directory\n" * 2), Output(0, INFO, "")]
    assert step.facts(answers[: len(step.reads())]).virtual_size == size


@pytest.mark.parametrize("format", [Format.RAW, Format.QCOW2])
def test_a_snapshot_that_is_missing_has_no_size(format: Format) -> None:
    step = FileReverted("h1", "/srv/a.snap/s", "/srv/a", format)
    answers = [Output(1, b"", "stat: x: No such file or directory\n" * 3), Output(1, b"", "could not open")]
    assert step.facts(answers[: len(step.reads())]).virtual_size == 0

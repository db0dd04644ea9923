"""The program that computes a digest of the data in an image: the same for the same bytes, and only for these."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datastores.hosts.checksums import OF_DATA, PROGRAM

MIB = 1 << 20
SIZE = 48 * MIB + 17
ASK = (sys.executable, *PROGRAM[1:])


def digest(path: Path | str, size: int = 0, given: bytes | None = None) -> str:
    told = subprocess.run([*ASK, str(path), str(size)], input=given, check=False, capture_output=True)
    assert told.returncode == 0, told.stderr
    found = OF_DATA.match(told.stdout.decode())
    assert found
    return found[1]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Data that begin and end within a block, zeros that are written, and a hole at the end."""
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.write(os.urandom(MIB + 100))
        file.seek(20 * MIB + 4096)
        file.write(os.urandom(MIB) + bytes(2 * MIB) + os.urandom(4096))
        file.truncate(SIZE)
    return path


def test_holes_do_not_count(image: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.write_bytes(image.read_bytes())
    assert whole.stat().st_blocks > image.stat().st_blocks
    assert digest(whole) == digest(image) == digest("-", SIZE, image.read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        lambda held: b"x" + held[1:],
        lambda held: held[:-1] + b"x",
        lambda held: held + b"\0",
        lambda held: held[:-1],
        lambda held: held[65536:131072] + held[:65536] + held[131072:],
        lambda held: bytes(65536) + held[:-65536],
    ],
    ids=["first byte", "last byte", "longer", "shorter", "blocks exchanged", "moved"],
)
def test_every_byte_and_its_place_count(image: Path, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    other = tmp_path / "other"
    other.write_bytes(change(image.read_bytes()))
    assert digest(other) != digest(image)


def test_a_hole_takes_no_time(tmp_path: Path) -> None:
    path = tmp_path / "hole"
    with path.open("wb") as file:
        file.truncate(1 << 42)
    assert digest(path)  # four TiB


def test_what_lies_behind_the_disk_is_left_out(image: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer"
    longer.write_bytes(image.read_bytes() + b"what a device holds behind the disk")
    assert digest(longer, SIZE) == digest(image)


def test_what_is_too_short_has_no_digest(image: Path) -> None:
    told = subprocess.run([*ASK, image, str(SIZE + 1)], check=False, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (1, "")
    assert "it ends after" in told.stderr

"""The programs that send and receive an image, joined by a pipe: what arrives, and what is done when not all does."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pytest

from datastores.hosts import ssh_receive, ssh_send
from datastores.hosts.ssh_receive import Anew, Cut, Receiver, Refused

MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """48 MiB, of which 20 MiB are data: at the beginning, in the middle, with zeros in it, and an odd end."""
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.write(os.urandom(9 * MIB))
        file.seek(20 * MIB + 4096)
        file.write(os.urandom(MIB))
        file.write(bytes(4 * MIB))
        file.write(os.urandom(10 * MIB))
        file.truncate(48 * MIB + 17)
    os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    return path


def started(tmp_path: Path) -> Receiver:
    """The program as it is started in the directory of a transfer, for the first time or anew."""
    return Receiver(str(tmp_path / "part"), 0, tmp_path / "reached")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = started(tmp_path)
    yield made
    os.close(made.file)


def sent(image: Path, asked: str = "0") -> bytes:
    """Return all that is sent."""
    read, write = os.pipe()
    taken: list[bytes] = []

    def drain() -> None:
        with os.fdopen(read, "rb") as stream:
            taken.append(stream.read())

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        ssh_send.main(str(image), asked, write)
    finally:
        os.close(write)
        thread.join()
    return taken[0]


def take(receiver: Receiver, data: bytes) -> None:
    read, write = os.pipe()

    def fill() -> None:
        with os.fdopen(write, "wb", buffering=0) as stream:
            left = memoryview(data)
            with contextlib.suppress(BrokenPipeError):
                while left:
                    left = left[stream.write(left) or 0 :]

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        with os.fdopen(read, "rb", buffering=0) as stream:
            receiver.take(cast("IO[bytes]", stream))
    finally:
        thread.join()


@pytest.fixture(autouse=True)
def _no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_send.signal, "alarm", lambda seconds: 0)


@pytest.mark.parametrize("splices", [True, False])
def test_all_of_it_arrives_and_holes_stay_holes(
    image: Path, receiver: Receiver, splices: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "_splices", splices and hasattr(os, "splice"))
    take(receiver, sent(image))
    found = receiver.finish()
    arrived = Path(receiver.part)
    assert arrived.read_bytes() == image.read_bytes()
    there = arrived.stat()
    assert found == f"{there.st_dev}:{there.st_ino}"
    assert there.st_mtime_ns == image.stat().st_mtime_ns
    assert there.st_blocks * 512 <= 21 * MIB + 65536  # the file system counts blocks of its own, too


def test_only_data_is_sent(image: Path) -> None:
    assert 20 * MIB < len(sent(image)) < 21.1 * MIB  # of 24 MiB that the file system holds


def test_what_was_covered_by_a_checksum_is_not_sent_again(image: Path, receiver: Receiver) -> None:
    data = sent(image)
    with pytest.raises(Cut):
        take(receiver, data[: 15 * MIB])
    reached = receiver.reached
    assert 8 * MIB <= reached < 15 * MIB
    rest = sent(image, str(reached))
    assert len(rest) < len(data) - 7 * MIB
    take(receiver, rest)
    receiver.finish()
    assert Path(receiver.part).read_bytes() == image.read_bytes()


@pytest.fixture
def cut_off(image: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> int:
    """A transfer of which the receiving host was switched off. Return where it had noted last to be."""
    monkeypatch.setattr(ssh_receive, "NOTED", MIB)
    with pytest.raises(Cut):
        take(receiver, sent(image)[: 15 * MIB])
    os.pwrite(receiver.file, b"lost with the power", receiver.noted)
    return receiver.noted


def test_a_host_that_was_started_anew_goes_on_where_it_was(image: Path, cut_off: int, tmp_path: Path) -> None:
    assert cut_off >= 8 * MIB
    again = started(tmp_path)
    assert again.reached == cut_off
    rest = sent(image, str(again.reached))
    assert len(rest) < 14 * MIB
    take(again, rest)
    again.finish()
    assert Path(again.part).read_bytes() == image.read_bytes()


def test_what_came_of_an_image_that_was_written_to_since_is_dropped(image: Path, cut_off: int, tmp_path: Path) -> None:
    os.utime(image)
    again = started(tmp_path)
    with pytest.raises(Anew):
        take(again, sent(image, str(again.reached)))
    assert (again.reached, Path(again.part).stat().st_size) == (0, 0)
    take(again, sent(image))
    again.finish()
    assert Path(again.part).read_bytes() == image.read_bytes()


@pytest.mark.parametrize("note", ["", "1 2 3", "x y z u", "{inode} 17 5 4096"])
def test_what_lies_there_without_a_note_about_it_is_not_trusted(
    image: Path, cut_off: int, tmp_path: Path, note: str
) -> None:
    (tmp_path / "reached").write_text(note.format(inode=(tmp_path / "part").stat().st_ino))
    again = started(tmp_path)
    assert (again.reached, Path(again.part).stat().st_size) == (0, 0)


def test_a_byte_that_is_not_what_was_sent(image: Path, receiver: Receiver) -> None:
    data = bytearray(sent(image))
    data[5 * MIB] ^= 1
    with pytest.raises(Refused, match="its checksum differs"):
        take(receiver, bytes(data))


def test_an_image_that_was_written_to(image: Path, receiver: Receiver) -> None:
    data = sent(image)
    changed = data[:-8] + (1).to_bytes(8, "big")
    with pytest.raises(Refused, match="written to while it was copied"):
        take(receiver, changed)


def test_an_image_that_was_written_to_between_two_connections(image: Path, receiver: Receiver) -> None:
    with pytest.raises(Cut):
        take(receiver, sent(image)[: 10 * MIB])
    os.utime(image)
    with pytest.raises(Refused, match="written to while it was copied"):
        take(receiver, sent(image, str(receiver.reached)))


@pytest.mark.parametrize("asked", ["", "-1", "9" * 30, "0; id", "٣", "x"])
def test_what_is_no_offset(image: Path, asked: str) -> None:
    with pytest.raises(ValueError, match="is not an offset"):
        sent(image, asked)


def test_what_is_no_file(tmp_path: Path, image: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(image)
    with pytest.raises(OSError, match="symbolic links"):
        sent(link)
    with pytest.raises(ValueError, match="is not a file"):
        sent(tmp_path)


def test_what_is_no_image(receiver: Receiver) -> None:
    with pytest.raises(Refused, match="does a login script print something"):
        take(receiver, b"Welcome to this host!\n" * 10)


def test_a_frame_that_is_too_long(image: Path, receiver: Receiver) -> None:
    data = sent(image)
    header = ssh_send.HEADER.size
    with pytest.raises(Refused, match="something else than an image"):
        take(receiver, data[:header] + ssh_send.FRAME.pack(b"S", 0, 1 << 40))


def test_there_is_not_room_enough(image: Path, receiver: Receiver) -> None:
    header = ssh_send.HEADER.pack(ssh_send.MAGIC, 1 << 60, 0, 1 << 60)
    with pytest.raises(Refused, match="bytes are needed"):
        take(receiver, header)


def test_an_empty_file_and_one_of_holes_only(tmp_path: Path, receiver: Receiver) -> None:
    holes = tmp_path / "holes"
    holes.touch()
    os.truncate(holes, 5 * MIB)
    take(receiver, sent(holes))
    receiver.finish()
    assert Path(receiver.part).stat().st_size == 5 * MIB


def test_both_ends_speak_the_same() -> None:
    for name in ("MAGIC", "BLOCK", "REFUSED"):
        assert getattr(ssh_send, name) == getattr(ssh_receive, name)
    for name in ("HEADER", "FRAME"):
        assert getattr(ssh_send, name).format == getattr(ssh_receive, name).format


def test_a_first_connection_that_cannot_be_made_is_not_tried_again(receiver: Receiver) -> None:
    with pytest.raises(Refused, match="no way"):
        ssh_receive.receive(receiver, ["sh", "-c", "echo no way >&2; exit 255"])


def test_a_later_connection_is_made_again(
    image: Path, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ssh_receive, "FIRST_PAUSE", 0.01)
    data = sent(image)
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(data[: 12 * MIB])
    with pytest.raises(Cut):  # to learn where it goes on
        take(probe := Receiver(str(tmp_path / "probe"), 0, tmp_path / "note"), data[: 12 * MIB])
    second.write_bytes(sent(image, str(probe.reached)))
    os.close(probe.file)
    script = 'read at; if [ "$at" = 0 ]; then cat "$1"; echo lost it >&2; exit 255; else cat "$2"; fi'
    ssh_receive.receive(receiver, ["sh", "-c", script, "sh", str(first), str(second)])
    receiver.finish()
    assert Path(receiver.part).read_bytes() == image.read_bytes()
    assert "the connection was cut (lost it); it goes on at" in capsys.readouterr().out


@pytest.mark.parametrize("reason", ssh_receive.HOPELESS)
def test_what_is_hopeless_is_not_tried_again(image: Path, receiver: Receiver, tmp_path: Path, reason: str) -> None:
    first = tmp_path / "first"
    first.write_bytes(sent(image)[: 12 * MIB])
    script = 'cat "$1"; echo "$2" >&2; exit 255'
    with pytest.raises(Refused, match=reason):
        ssh_receive.receive(receiver, ["sh", "-c", script, "sh", str(first), reason])

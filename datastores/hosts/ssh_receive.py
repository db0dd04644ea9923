"""Runs on the host that gets an image: ``python3 -I receive.py PART ACCOUNT ADDRESS PORT LIMIT``, in a transient unit.

It needs nothing but Python 3.7, the program ssh, and ``key`` and ``known_hosts`` in its own directory. It fills the
file PART with what ``ssh_send.py`` sends over ssh: holes stay holes, and what was written is read again and compared
with the sender's checksum. When the connection is cut it connects again, and goes on where the last checksum held;
so it needs no worker to watch it. When it is started anew, after a restart of its host, it goes on where it had noted
last that all was on the disk. LIMIT: bytes in a second, 0 for as fast as it goes.

At the end it leaves ``received`` in its directory, which says which file (device and inode) is whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, cast

MAGIC = b"cloudstore image 1\n"
HEADER = struct.Struct(">19sQqQ")
FRAME = struct.Struct(">cQq")
BLOCK = 1 << 20
FRAMES = 1 << 16
"""Pieces between two checksums at most."""
REFUSED = 3
"""Exit status of the sender, and ours, when trying again is of no use."""

NOTED = 256 << 20
"""Bytes after which it notes how far it is."""
PATIENCE = 3600.0
"""Seconds without a byte after which it gives up."""
FIRST_PAUSE, PAUSE = 1.0, 15.0
HOPELESS = "Permission denied", "Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"
"""What ssh says when trying again is of no use."""
F_SETPIPE_SZ = 1031
"""fcntl(2); Python names it from 3.10 on."""
PIPE = 1 << 20
CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr"
SSH = (
    "ssh", "-F", "none", "-T", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
    "-o", "StrictHostKeyChecking=yes", "-o", "CheckHostIP=no", "-o", "UpdateHostKeys=no",
    "-o", "GlobalKnownHostsFile=/dev/null",
    "-o", "PreferredAuthentications=publickey", "-o", "Compression=no", "-o", f"Ciphers={CIPHERS}",
    "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
    "-o", "ClearAllForwardings=yes", "-o", "LogLevel=ERROR",
)  # fmt: skip


class Refused(Exception):
    """Trying again is of no use."""


class Cut(Exception):
    """The connection ended before the file did."""


class Anew(Cut):
    """What had come before is of another state of the image, and was dropped."""


class Receiver:
    """One file on its way. ``reached``: below that offset all is in it, compared with the sender's checksums.

    ``note``: a file of this transfer alone, which says how far an earlier start of this program had come.
    """

    def __init__(self, part: str, limit: int, note: Path) -> None:
        self.part, self.limit, self.note = part, limit, note
        self.file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        self.reached = self.noted = self.received = 0
        self.source: tuple[int, int] | None = None
        self._before = self._noted_before()
        if not self._before:
            os.ftruncate(self.file, 0)
        self._room = bytearray(BLOCK)
        self._splices = hasattr(os, "splice")  # Python 3.10

    def _noted_before(self) -> tuple[int, int] | None:
        """Take up the note of an earlier start, if it is about this file. Return size and time of its source."""
        try:
            inode, size, modified, reached = map(int, self.note.read_text().split())
        except (OSError, ValueError):
            return None
        found = os.fstat(self.file)
        if (inode, size) != (found.st_ino, found.st_size):
            return None
        self.reached = self.noted = reached
        say(f"it goes on at {reached >> 20} MiB, as was noted before this host or program was started anew")
        return size, modified

    def _note(self) -> None:
        """Note how far it is, once that is on the disk."""
        os.fdatasync(self.file)
        size, modified = self.source or (0, 0)
        write_whole(self.note, f"{os.fstat(self.file).st_ino} {size} {modified} {self.reached}")
        self.noted = self.reached

    def _drop(self) -> None:
        self.note.unlink()
        os.ftruncate(self.file, 0)
        self._before, self.reached, self.noted = None, 0, 0

    def take(self, stream: IO[bytes]) -> None:
        """Write what comes until the end.

        :raises Anew: what an earlier start left is of no use. :raises Cut: it ended before.
        :raises Refused: it is not what was sent before, or not what arrived.
        """
        self._header(stream)
        began, received = time.monotonic(), 0
        written: list[tuple[int, int]] = []
        while True:
            kind, offset, length = FRAME.unpack(self._exactly(stream, FRAME.size))
            if kind == b"E":
                if (offset, length) != self.source:
                    raise Refused("The image was written to while it was copied. Shut down what uses it and try again.")
                return
            if kind == b"S":
                self._compare(written, bytes(self._exactly(stream, length)), offset)
                written = []
                continue
            self._check(offset, length, len(written))
            self._write(stream, offset, length)
            written.append((offset, length))
            received += length
            self.received += length
            if self.limit:
                time.sleep(max(0.0, began + received / self.limit - time.monotonic()))

    def _check(self, offset: int, length: int, waiting: int) -> None:
        """Take nothing on trust: what is sent lies within the image, and is compared before it becomes too much."""
        end = self.source[0] if self.source else 0
        if not (0 < length <= BLOCK and 0 <= offset <= end - length and waiting < FRAMES):
            raise Refused(f"{length} bytes at {offset} came, which are no part of an image of {end} bytes.")

    def _header(self, stream: IO[bytes]) -> None:
        magic, size, modified, allocated = HEADER.unpack(self._exactly(stream, HEADER.size))
        if magic != MAGIC:
            raise Refused("The other end does not send an image: does a login script print something there?")
        if self._before not in (None, (size, modified)):
            self._drop()
            raise Anew("the image is not what it was when its first part came")
        if self.source is None:
            free, there = os.fstatvfs(self.file), os.fstat(self.file).st_blocks * 512
            if free.f_bavail * free.f_frsize + there < allocated:
                raise Refused(f"{allocated} bytes are needed, and {free.f_bavail * free.f_frsize} are free.")
            os.ftruncate(self.file, size)
            self.source = size, modified
            say(f"{allocated >> 20} MiB of {size >> 20} MiB are data")
        elif self.source != (size, modified):
            raise Refused("The image was written to while it was copied. Shut down what uses it and try again.")

    def _exactly(self, stream: IO[bytes], length: int) -> memoryview:
        if not 0 <= length <= BLOCK:
            raise Refused(f"A frame of {length} bytes came; something else than an image is being sent.")
        view, filled = memoryview(self._room)[:length], 0
        while filled < length:
            count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
            if not count:
                raise Cut
            filled += count
        return view

    def _write(self, stream: IO[bytes], offset: int, length: int) -> None:
        """Write the next bytes of the stream; without taking them in hand, where the file system lets us."""
        end = offset + length
        try:
            while self._splices and offset < end:
                count = os.splice(stream.fileno(), self.file, end - offset, offset_dst=offset)
                if not count:
                    raise Cut
                offset += count
        except OSError as error:
            if error.errno != errno.EINVAL:  # splice(2): the file system does not support it
                raise
            self._splices = False
        data = self._exactly(stream, end - offset)
        while data:
            count = os.pwrite(self.file, data, offset)
            data, offset = data[count:], offset + count

    def _compare(self, written: list[tuple[int, int]], digest: bytes, reached: int) -> None:
        """Read again what was written since the last checksum."""
        found, view = hashlib.sha256(), memoryview(self._room)
        for offset, length in written:
            count = os.preadv(self.file, [view[:length]], offset)
            found.update(view[:count])
        if found.digest() != digest:
            raise Refused(f"What lies in {self.part} below {reached} is not what was sent: its checksum differs.")
        self.reached = reached
        if reached - self.noted >= NOTED:
            self._note()

    def finish(self) -> str:
        """See the bytes on the disk; return which file it is. It has the time of its source from now on."""
        if self.source is None:
            raise Refused("Nothing came.")
        os.fsync(self.file)
        os.utime(self.file, ns=(self.source[1], self.source[1]))
        os.fsync(self.file)
        found = os.fstat(self.file)
        return f"{found.st_dev}:{found.st_ino}"


def write_whole(path: Path, text: str) -> None:
    """Write a small file, whole or not at all, and see it on the disk."""
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def connect_and_take(receiver: Receiver, ssh: list[str]) -> None:
    """Receive over one connection.

    :raises Anew: another one has to be made, for all of it. :raises Cut: another one has to be made, for the rest.
    :raises Refused: that would be of no use.
    """
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, bufsize=0)
        asked, sent = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        with contextlib.suppress(OSError):  # the machine's limit for pipes is used up: a small one does, too
            fcntl.fcntl(sent, F_SETPIPE_SZ, PIPE)
        try:
            asked.write(f"{receiver.reached}\n".encode())
            receiver.take(sent)
        except Anew:
            raise
        except (Cut, BrokenPipeError):
            status = ended(process)
            told.seek(0)
            reason = told.read(4096).decode("utf-8", "replace").strip() or f"ssh ended with status {status}"
            if status == REFUSED or any(word in reason for word in HOPELESS):
                raise Refused(reason) from None
            raise Cut(reason) from None
        finally:
            process.kill()
            process.wait()


def ended(process: subprocess.Popen[bytes]) -> int:
    """Return the exit status of one that has closed its output."""
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def receive(receiver: Receiver, ssh: list[str]) -> None:
    """Receive all of it, over as many connections as it takes.

    :raises Refused: it cannot be had; also when the very first connection cannot be made.
    """
    heard, pause = time.monotonic(), FIRST_PAUSE
    while True:
        before = receiver.received
        try:
            connect_and_take(receiver, ssh)
            return
        except Anew as changed:
            say(f"{changed}: it begins anew")
        except Cut as cut:
            if receiver.source is None:
                raise Refused(str(cut)) from None
            if receiver.received > before:
                heard, pause = time.monotonic(), FIRST_PAUSE
            if time.monotonic() - heard > PATIENCE:
                raise Refused(f"Nothing came for {PATIENCE / 60:.0f} minutes: {cut}") from None
            say(f"the connection was cut ({cut}); it goes on at {receiver.reached >> 20} MiB")
            time.sleep(pause)
            pause = min(PAUSE, pause * 2)


def main(part: str, account: str, address: str, port: str, limit: str) -> None:
    here = Path(__file__).resolve().parent
    keys = ["-i", f"{here}/key", "-o", f"UserKnownHostsFile={here}/known_hosts", "-o", "HostKeyAlias=source"]
    receiver = Receiver(part, int(limit), here / "reached")
    began = time.monotonic()
    receive(receiver, [*SSH, *keys, "-l", account, "-p", port, "--", address])
    write_whole(here / "received", receiver.finish())
    seconds = time.monotonic() - began
    say(f"{receiver.received >> 20} MiB were received in {seconds:.2f} s, and every checksum holds")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.umask(0o077)
    try:
        main(*sys.argv[1:])
    except (Refused, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)

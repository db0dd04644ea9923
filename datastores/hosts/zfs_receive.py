"""Runs on the host that gets a data set: ``python3 -I receive.py DATASET NAME LIMIT SSH...``, in a transient unit.

It needs nothing but Python 3.7, zfs, and the program ssh with the arguments SSH. It gives ``zfs receive`` what
``zfs_send.py`` sends over ssh. When the connection is cut it connects again, and asks for what is missing: zfs keeps
what has come, and says from where on to send. LIMIT: bytes in a second, 0 for as fast as it goes.

At the end it sees by its guid that the snapshot NAME is the one that was sent, and leaves that in ``received`` in its
directory.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, cast

MAGIC = b"cloudstore stream 1\n"
HEADER = struct.Struct(">20sQQ")
BLOCK = 1 << 20
REFUSED = 3
"""Exit status of the sender, and ours, when trying again is of no use."""
PATIENCE = 3600.0
"""Seconds without a byte after which it gives up."""
FIRST_PAUSE, PAUSE = 1.0, 15.0
HOPELESS = "Permission denied", "Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"
"""What ssh says when trying again is of no use."""
INCOMPLETE = "incomplete stream", "failed to read from stream"
"""What zfs says when the stream ended too early: what has come is kept."""
FEATURES = "lz4_compress", "zstd_compress", "large_blocks"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Refused(Exception):
    """Trying again is of no use."""


class Cut(Exception):
    """The connection ended before the stream did."""


def told(*command: str) -> str:
    """Return what a command says; "" when it fails."""
    found = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return found.stdout.strip() if found.returncode == 0 else ""


def value_of(name: str, thing: str) -> str:
    """Return a property of a data set; "" when there is none of it."""
    found = told("zfs", "get", "-H", "-p", "-o", "value", name, thing)
    return "" if found == "-" else found


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Receiver:
    """One data set on its way. ``guid``: of the snapshot that is sent, once the sender has said it; else 0."""

    def __init__(self, dataset: str, name: str, limit: int) -> None:
        self.dataset, self.snapshot, self.limit, self.guid = dataset, f"{dataset}@{name}", limit, 0

    @property
    def whole(self) -> bool:
        """Whether the snapshot that is sent has come."""
        return value_of("guid", self.snapshot) == str(self.guid)

    @property
    def came(self) -> int:
        """Bytes that have come: the half-received data set holds them."""
        return int(value_of("used", self.dataset) or 0)

    def asks(self) -> str:
        """Return what is asked of the sender: from where on, and for what this pool can hold."""
        pool = self.dataset.partition("/")[0]
        had = [name for name in FEATURES if told("zpool", "get", "-H", "-o", "value", f"feature@{name}", pool)
               in ("enabled", "active")]  # fmt: skip
        return " ".join([value_of("receive_resume_token", self.dataset) or "-", *had])

    def take(self, stream: IO[bytes]) -> None:
        """Give zfs what comes. :raises Cut: it ended before the end. :raises Refused: zfs cannot take it."""
        self._header(stream)
        if self.whole:  # before an earlier attempt could note it
            return
        command = ["zfs", "receive", "-s", "-u", "--", self.dataset]
        with tempfile.TemporaryFile() as said:
            source: Any = subprocess.PIPE if self.limit else stream
            process = subprocess.Popen(command, stdin=source, stderr=said)
            if self.limit:
                self._copy(stream, cast("IO[bytes]", process.stdin))
            status = process.wait()
            said.seek(0)
            reason = said.read(4096).decode("utf-8", "replace").strip()
        if status and any(word in reason for word in INCOMPLETE):
            raise Cut
        if status:
            raise Refused(reason or f"zfs receive ended with status {status}")

    def _header(self, stream: IO[bytes]) -> None:
        found = b""
        while len(found) < HEADER.size:
            more = stream.read(HEADER.size - len(found))
            if not more:
                raise Cut
            found += more
        magic, guid, size = HEADER.unpack(found)
        if magic != MAGIC:
            raise Refused("The other end does not send a data set: does a login script print something there?")
        if self.guid not in (0, guid):
            raise Refused("The snapshot was taken anew while it was sent. Try again.")
        self.guid = guid
        say(f"{size >> 20} MiB are to come")

    def _copy(self, stream: IO[bytes], sink: IO[bytes]) -> None:
        """Pass on what comes, no faster than is allowed."""
        began, passed = time.monotonic(), 0
        try:
            while True:
                data = stream.read(min(BLOCK, self.limit))
                if not data:
                    break
                sink.write(data)
                passed += len(data)
                time.sleep(max(0.0, began + passed / self.limit - time.monotonic()))
            sink.close()
        except BrokenPipeError:  # zfs has ended, and says why
            return


def connect_and_take(receiver: Receiver, ssh: list[str]) -> None:
    """Receive over one connection. :raises Cut: it has to be made again. :raises Refused: that would be of no use."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, bufsize=0)
        asked, sent = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        try:
            asked.write(f"{receiver.asks()}\n".encode())
            receiver.take(sent)
        except (Cut, BrokenPipeError):
            status = ended(process)
            said.seek(0)
            reason = said.read(4096).decode("utf-8", "replace").strip() or f"ssh ended with status {status}"
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
        before = receiver.came
        try:
            connect_and_take(receiver, ssh)
            return
        except Cut as cut:
            if not receiver.guid:
                raise Refused(str(cut)) from None
            if receiver.came > before:
                heard, pause = time.monotonic(), FIRST_PAUSE
            if time.monotonic() - heard > PATIENCE:
                raise Refused(f"Nothing came for {PATIENCE / 60:.0f} minutes: {cut}") from None
            say(f"the connection was cut ({cut}); it goes on at {receiver.came >> 20} MiB")
            time.sleep(pause)
            pause = min(PAUSE, pause * 2)


def main(dataset: str, name: str, limit: str, *ssh: str) -> None:
    receiver = Receiver(dataset, name, int(limit))
    began = time.monotonic()
    receive(receiver, list(ssh))
    if not receiver.whole:
        raise Refused(f"{receiver.snapshot} is not the snapshot that was sent.")
    here = Path(__file__).resolve().parent
    new = here / "received.new"
    with new.open("w") as file:
        file.write(str(receiver.guid))
        file.flush()
        os.fsync(file.fileno())
    new.rename(here / "received")
    say(f"{receiver.came >> 20} MiB lie there after {time.monotonic() - began:.2f} s, and the snapshot is the same")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ["PATH"], os.environ["LC_ALL"] = PATH, "C"
    try:
        main(*sys.argv[1:])
    except (Refused, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)

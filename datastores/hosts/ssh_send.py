"""Runs on the host that has an image: ``python3 -I send.py``, the forced command of the key of one transfer.

It needs nothing but Python 3.7, and the file ``source`` beside it, which names the one file that it may read: whoever
has the key can ask for nothing else. It reads the offset to begin at from its input, and writes the data of the file
from there on to its output: only what is data, with holes and MiBs of zeros left out. ``ssh_receive.py`` is the other
end.

    HEADER  magic, size, modification time (ns), bytes allocated
    FRAME   "D", offset, length; then the bytes
    FRAME   "S", offset, 32; then the SHA-256 of all bytes since the last "S": below the offset all has been sent
    FRAME   "E", size, modification time: the end, with what the file is by then
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

MAGIC = b"cloudstore image 1\n"
HEADER = struct.Struct(">19sQqQ")
FRAME = struct.Struct(">cQq")
BLOCK = 1 << 20
"""Bytes of the longest frame."""
SEALED = 8 << 20
"""Bytes of data that one checksum covers: so much is sent again at most after a cut."""
STUCK = 600
"""Seconds after which a frame that nobody takes ends this program: the other end is gone."""
REFUSED = 3
"""Exit status when trying again is of no use; standard error says why."""


def extents(image: int, start: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of what is data from ``start`` on. Where a file system knows no holes, all of it is."""
    while start < size:
        try:
            begin = os.lseek(image, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # lseek(2): only a hole is left
                raise
            return
        end = min(os.lseek(image, begin, os.SEEK_HOLE), size)
        if begin >= size:
            return
        yield begin, end
        start = end


def put(out: int, data: bytes) -> None:
    """Write all of it."""
    signal.alarm(STUCK)
    while data:
        data = data[os.write(out, data) :]


def put_from(image: int, begin: int, length: int, out: int) -> None:
    """Write bytes of the file, from the kernel's memory of it. :raises ValueError: they are gone."""
    while length:
        count = os.sendfile(out, image, begin, length)
        if not count:
            raise ValueError("The image was made smaller while it was sent.")
        begin, length = begin + count, length - count


def send(image: int, start: int, size: int, out: int) -> None:
    """Write frames of all data of the open file from ``start`` on, and their checksums."""
    room, zeros = bytearray(BLOCK), bytes(BLOCK)
    view, digest, unsealed, reached = memoryview(room), hashlib.sha256(), 0, start
    for first, end in extents(image, start, size):
        begin = first
        while begin < end:
            read = os.preadv(image, [view[: min(BLOCK - begin % BLOCK, end - begin)]], begin)
            if not read:  # it was cut short meanwhile: the end tells
                return
            if read < BLOCK or room != zeros:
                digest.update(view[:read])
                put(out, FRAME.pack(b"D", begin, read))
                put_from(image, begin, read, out)
                unsealed += read
            begin += read
            reached = begin
            if unsealed >= SEALED:
                seal(out, reached, digest.digest())
                digest, unsealed = hashlib.sha256(), 0
    seal(out, max(reached, start), digest.digest())


def seal(out: int, reached: int, digest: bytes) -> None:
    put(out, FRAME.pack(b"S", reached, len(digest)) + digest)


def main(path: str, asked: str, out: int) -> None:
    """Send the file at ``path`` from the offset that was ``asked`` for.

    :raises ValueError: that is no offset in a file, or there is no file.
    """
    image = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    found = os.fstat(image)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} is not a file")
    if not (asked.isascii() and asked.isdigit()) or int(asked) > found.st_size:
        raise ValueError(f"{asked[:40]!r} is not an offset in {path}")
    os.posix_fadvise(image, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    put(out, HEADER.pack(MAGIC, found.st_size, found.st_mtime_ns, found.st_blocks * 512))
    send(image, int(asked), found.st_size, out)
    found = os.fstat(image)
    put(out, FRAME.pack(b"E", found.st_size, found.st_mtime_ns))


if __name__ == "__main__":
    try:
        named = os.fsdecode(Path(__file__).resolve().with_name("source").read_bytes())
        main(named, sys.stdin.readline(64).strip(), sys.stdout.fileno())
    except BrokenPipeError:
        sys.exit(1)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)

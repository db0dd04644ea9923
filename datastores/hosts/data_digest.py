"""Runs on the host that has an image: ``python3 -I -c TEXT PATH BYTES``; prints "data" and a digest of what is in it.

It needs nothing but Python 3.8. The digest is the SHA-256 of all blocks of 64 KiB that are not zeros, each after its
offset, and of the size. So two files have the same one when all of their bytes are the same, wherever they have holes,
and holes are never read. PATH: a file or a device; "-": the input. BYTES: so many are read; 0: all of a file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import sys
from collections.abc import Iterator
from typing import IO

BLOCK = 1 << 16
ZEROS = bytes(BLOCK)
AT = struct.Struct(">Q")
NO_HOLES = errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP


def data(image: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of what may be data, in whole blocks; all of it, where nobody tells holes (lseek(2))."""
    start = 0
    while start < size:
        try:
            begin = os.lseek(image, start, os.SEEK_DATA)
            end = os.lseek(image, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            if error.errno not in NO_HOLES:
                raise
            begin, end = start, size
        begin, end = max(start, begin - begin % BLOCK), min(size, end + -end % BLOCK)
        if begin < end:
            yield begin, end
        start = max(end, begin)


def digest(image: IO[bytes], size: int) -> str:
    """Return the digest in hexadecimal digits. :raises EOFError: it holds less than ``size`` bytes."""
    found, pipe = hashlib.sha256(), not image.seekable()
    if not pipe and (there := image.seek(0, os.SEEK_END)) < size:
        raise EOFError(f"it ends after {there} of {size} bytes")
    for begin, end in ((0, size),) if pipe else data(image.fileno(), size):
        for offset in range(begin, end, BLOCK):
            length = min(BLOCK, end - offset)
            block = image.read(length) if pipe else os.pread(image.fileno(), length, offset)
            if len(block) < length:
                raise EOFError(f"it ends after {offset + len(block)} of {size} bytes")
            if block != ZEROS[:length]:
                found.update(AT.pack(offset) + block)
    return hashlib.sha256(found.digest() + AT.pack(size)).hexdigest()


def main(path: str, size: int) -> None:
    with sys.stdin.buffer if path == "-" else open(path, "rb") as image:  # noqa: PTH123
        print("data", digest(image, size or os.fstat(image.fileno()).st_size))  # noqa: T201


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]))
    except (OSError, EOFError) as failed:
        sys.exit(str(failed))

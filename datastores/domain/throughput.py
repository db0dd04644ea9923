"""How fast a datastore is, as it was measured on one host."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MIB = 1 << 20
SMALLEST, LARGEST = 16 * MIB, 4096 * MIB
"""Bytes: a shorter test tells of caches alone, a longer one keeps others waiting."""
SHARE = 10
"""At most this part of the free space is written: a tenth."""

_COPIED = re.compile(r"^(\d+) bytes .*copied, ([0-9.e+-]+) s, ", re.MULTILINE)
"""What dd (coreutils 8.30 to 9.1) says in the C locale. The rate after it is rounded, and so not read."""
_BENCHED = re.compile(r"^Sending (\d+) (?:read|write) requests, (\d+) bytes each.*?^Run completed in ([0-9.]+) seconds",
                      re.MULTILINE | re.DOTALL)  # fmt: skip
"""What ``qemu-img bench`` (5.2 to 7.2) says."""
_QUICKEST = 0.0005
"""Seconds: qemu-img rounds to thousandths, and so may say 0."""
_P50, _P99 = "50.000000", "99.000000"


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates in bytes per second, operations of 4 KiB per second, latencies in microseconds.

    None: the tool does not tell. ``direct``: past the page cache of the host.
    """

    tool: str
    direct: bool
    size: int
    """Bytes of the file."""
    write_rate: int
    read_rate: int
    write_iops: float | None = None
    read_iops: float | None = None
    write_p50: float | None = None
    write_p99: float | None = None
    read_p50: float | None = None
    read_p99: float | None = None


def of_fio(text: str, *, direct: bool, size: int) -> Figures:
    """Return what fio (3.x, ``--output-format=json``) says of its jobs write, read, randwrite and randread.

    :raises ValueError: that is not what fio says, or a job is missing.
    """
    try:
        said = json.loads(text[text.index("{") :])  # warnings may come before it
        jobs: Mapping[str, Any] = {job["jobname"]: job for job in said["jobs"]}
        writes, reads = jobs["randwrite"]["write"], jobs["randread"]["read"]
        return Figures(
            tool=str(said["fio version"]), direct=direct, size=size,
            write_rate=int(jobs["write"]["write"]["bw_bytes"]), read_rate=int(jobs["read"]["read"]["bw_bytes"]),
            write_iops=float(writes["iops"]), read_iops=float(reads["iops"]),
            write_p50=_latency(writes, _P50), write_p99=_latency(writes, _P99),
            read_p50=_latency(reads, _P50), read_p99=_latency(reads, _P99),
        )  # fmt: skip
    except (LookupError, TypeError) as error:
        raise ValueError(f"fio did not say what was expected: {error!r}") from error


def _latency(side: Mapping[str, Any], percentile: str) -> float | None:
    """Return microseconds from the request to its completion."""
    nanoseconds = side["clat_ns"].get("percentile", {}).get(percentile)
    return None if nanoseconds is None else nanoseconds / 1000


def of_dd(text: str, *, direct: bool, size: int) -> Figures:
    """Return what two runs of dd say: the first has written the file, the second has read it.

    :raises ValueError: that is not what dd says.
    """
    found = [(int(count), float(seconds)) for count, seconds in _COPIED.findall(text)]
    if len(found) != 2 or not all(count and seconds for count, seconds in found):
        raise ValueError(f"dd did not say what was expected: {text[-200:]!r}")
    write, read = (round(count / seconds) for count, seconds in found)
    return Figures("dd", direct, size, write, read)


def of_bench(text: str, *, direct: bool, size: int) -> Figures:
    """Return what four runs of ``qemu-img bench`` say: large blocks written and read, then small ones.

    :raises ValueError: that is not what qemu-img says.
    """
    runs = [(int(count), int(block), max(float(took), _QUICKEST)) for count, block, took in _BENCHED.findall(text)]
    if len(runs) != 4:
        raise ValueError(f"qemu-img did not say what was expected: {text[-200:]!r}")
    write, read = (round(count * block / took) for count, block, took in runs[:2])
    writes, reads = (count / took for count, _, took in runs[2:])
    return Figures("qemu-img bench", direct, size, write, read, writes, reads)

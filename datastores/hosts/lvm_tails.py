"""What lies on a volume behind its disk: a volume ends with an extent, so it may be longer than the disk on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.domain.values import SECTOR, format_size
from datastores.hosts.parsing import canonical_path

DIFFERS = 1
COMPARE = """
[ -e "$1" ] || exit 0
whole=$(blockdev --getsize64 "$1") || exit 2
echo "$whole"
[ "$whole" -le "$2" ] || exec cmp -s -i "$2:0" -n $((whole - $2)) -- "$1" /dev/zero
"""
"""Tell how long the device is, and by the exit status whether anything but zeros is behind so many bytes (cmp(1))."""


@dataclass(frozen=True, slots=True)
class Tail:
    """``whole``: bytes of the device, 0 when there is none. ``written``: not all behind the disk are zeros."""

    whole: int
    written: bool


@dataclass(frozen=True, slots=True)
class TailEmpty:
    """Behind the first ``size`` bytes of a device there are zeros alone, so a copy of these is a copy of all.

    A check: what a machine wrote there would be cut off. It sees the whole device, and a partition table or a file
    system that was grown to the end of it reaches there. Where there is no device, nothing is cut off.
    """

    host: str
    device: str
    size: int

    def __post_init__(self) -> None:
        canonical_path(self.device)
        if self.size <= 0 or self.size % SECTOR:
            raise BadInput(f"The size of a disk is a multiple of {SECTOR} bytes, not {self.size}.")

    @property
    def title(self) -> str:
        return f"nothing is behind the {format_size(self.size)} of the disk on {self.device}"

    def reads(self) -> tuple[Command, ...]:
        return (read("sh", "-c", COMPARE, "sh", self.device, str(self.size), root=True),)

    def facts(self, outputs: Sequence[Output]) -> Tail:
        (command,), (output,) = self.reads(), outputs
        whole = output.stdout.strip()
        if output.exit_status not in {0, DIFFERS} or (not whole.isdigit() and (whole or not output.ok)):
            raise CommandFailed(command.argv, output.exit_status, output.stderr, self.host)
        return Tail(int(whole or 0), not output.ok)

    def plan(self, facts: Tail) -> Change | None:
        if not facts.written:
            return None
        raise Refused(
            f"{self.device} on {self.host} has {facts.whole} bytes, {facts.whole - self.size} more than its disk, and "
            "a machine has written to these. A copy would cut them off. Nothing was copied; resize the disk to "
            f"{facts.whole} (bytes) first."
        )

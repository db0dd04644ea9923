"""How fast a directory is, measured on a host: with fio where it is there, else with dd.

The test is bounded in bytes and in seconds, never takes more than a tenth of the free space, and removes its file.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output, read
from datastores.domain.throughput import LARGEST, MIB, SHARE, SMALLEST, Figures, of_bench, of_dd, of_fio
from datastores.domain.values import format_size
from datastores.hosts.capacity import ask_room, rooms
from datastores.hosts.trials import TELL, Outcome, Trial, ask_outcome, the_outcome, why_not
from datastores.hosts.usage import NETWORK_TYPES

PATIENCE = 240
"""Seconds after which what the tool still does is given up: its own limits do not count what it prepares."""
MOST_SECONDS = 120

GROUND = """
source=$(findmnt -nvo SOURCE --target "$1") || exit
findmnt -nvo FSTYPE --target "$1" || exit
lsblk -J -b -s -o NAME,TYPE,SIZE,MODEL,ROTA,TRAN -- "${source%%\\[*}" 2>/dev/null || :
"""
"""The type of the file system below a path, then the devices that it is made of, where it is on any."""

TEST = f"""
if command -v fio >/dev/null; then
    [ $how = direct ] && direct=1 || direct=0
    timeout -k 5 {PATIENCE} fio --output-format=json --output="$said" --filename="$name" --size="$size" \\
        --ioengine=libaio --direct=$direct --randrepeat=0 --runtime="$seconds" \\
        --name=write --rw=write --bs=1M --iodepth=4 --end_fsync=1 \\
        --name=read --stonewall --rw=read --bs=1M --iodepth=4 \\
        --name=randwrite --stonewall --rw=randwrite --bs=4k --iodepth=16 --time_based --end_fsync=1 \\
        --name=randread --stonewall --rw=randread --bs=4k --iodepth=16 --time_based || tell failed fio $?
    tell fio $how "$size"
fi
[ $how = direct ] && flag=direct || flag=nocache
blocks=$((size / 131072))
timeout -k 5 {PATIENCE} dd if=/dev/zero of="$name" bs=131072 count=$blocks conv=fdatasync 2>"$said" || tell failed dd $?
dd if="$name" iflag=nocache count=0 status=none
timeout -k 5 {PATIENCE} dd if="$name" of=/dev/null bs=131072 count=$blocks iflag=$flag 2>>"$said" || tell failed dd $?
tell dd $how "$size"
"""
"""Measure $name, a file or a device, with $size bytes, and tell what came of it.

dd writes zeros in blocks of 128 KiB and syncs them before it stops the clock; it reads past the cache where it can.
"""

MEASURE = (
    TELL
    + f"""
data=$2 most=$3 seconds=$4
trap 'cd /; rm -rf --one-file-system -- "$data" "$part" "$said"' EXIT
rm -rf --one-file-system -- "$data"
mkdir -m 700 -- "$data" 2>"$said" || tell unwritten
cd -P -- "$data" && [ -O . ] && [ "$(stat -c %a .)" = 700 ] || tell unwritten
name=data
dd if=/dev/null of="$name" status=none 2>"$said" || tell unwritten
set -- $(stat -f -c '%a %S' -- .)
size=$(($1 * $2 / {SHARE}))
[ "$size" -lt "$most" ] || size=$most
size=$((size - size % {MIB}))
[ "$size" -ge {SMALLEST} ] || tell full "$size"
how=direct
dd if=/dev/zero of="$name" bs=4096 count=1 oflag=direct status=none 2>/dev/null || how=buffered
"""
    + TEST
)
"""$1: the outcome, $2: a directory of root's own for the file, so that nobody puts a link in its place, $3: bytes at
most, $4: seconds for each of the four parts of fio.
"""
OVER = "124", "137"
"""What timeout(1) exits with."""
TOLD_BY = {"fio": of_fio, "dd": of_dd, "QEMU": of_bench}


@dataclass(frozen=True, slots=True)
class Ground:
    """What is below it: the type of its file system, and the hardware in words, "" where that is unknown.

    ``over``: from where the bytes of a disk come over the network; "" for those of the host.
    """

    fstype: str = ""
    hardware: str = ""
    over: str = ""

    @property
    def network(self) -> bool:
        return bool(self.over) or self.fstype in NETWORK_TYPES or self.fstype.startswith("fuse.")


@dataclass(frozen=True, slots=True)
class Throughput:
    """``outcome`` None: it has not been measured. ``free``: bytes; None: there is no such directory."""

    outcome: Outcome | None
    figures: Figures | None
    ground: Ground
    free: int | None


@dataclass(frozen=True, slots=True)
class ThroughputKnown(Trial):
    """How fast the directory is on this host has been measured; the facts are the figures.

    ``size``: bytes of the file at most. ``seconds``: for each part of the test.
    """

    size: int = 256 * MIB
    seconds: int = 10

    def __post_init__(self) -> None:
        Trial.__post_init__(self)
        if not SMALLEST <= self.size <= LARGEST:
            raise BadInput(f"A test writes {format_size(SMALLEST)} to {format_size(LARGEST)}.")
        if not 1 <= self.seconds <= MOST_SECONDS:
            raise BadInput(f"Each part of a test takes 1 to {MOST_SECONDS} seconds.")

    @property
    def title(self) -> str:
        return f"throughput of {self.directory} is measured"

    def reads(self) -> tuple[Command, ...]:
        ground = read("sh", "-c", GROUND, "sh", self.directory, root=True)
        return ask_outcome(self.outcome("measure")), ground, ask_room(self.directory)

    def facts(self, outputs: Sequence[Output]) -> Throughput:
        ask, _, room = self.reads()
        outcome = the_outcome(self.host, ask, outputs[0])
        below = rooms(room, outputs[2]).get(self.directory)
        ground = the_ground(outputs[1].stdout) if outputs[1].ok else Ground()
        return Throughput(outcome, self._figures(ask, outcome), ground, below.available if below else None)

    def _figures(self, ask: Command, outcome: Outcome | None) -> Figures | None:
        if outcome is None or outcome.words[:1] not in {(tool,) for tool in TOLD_BY}:
            return None
        try:
            tool, how, size = outcome.words
            return TOLD_BY[tool](outcome.text, direct=how == "direct", size=int(size))
        except ValueError as error:
            raise CommandFailed(ask.argv, 0, str(error), self.host) from error

    def is_known(self, facts: Throughput) -> bool:
        """Return whether it has been measured. Raises Refused when that was tried, and failed."""
        if facts.outcome and not facts.figures:
            raise Refused(self._failure(facts.outcome))
        return facts.figures is not None

    def plan(self, facts: Throughput) -> Change | None:
        if self.is_known(facts):
            return None
        if facts.free is not None and facts.free < SMALLEST * SHARE:
            raise Refused(self._full(facts.free))
        what = (self.outcome("measure"), self.file("measure"), str(self.size), str(self.seconds))
        test = Detached(Command(("sh", "-c", MEASURE, "sh", *what)), growing=self.file("measure"), total=self.size)
        return Change(
            f"write and read a file of at most {format_size(self.size)} in {self.directory}, and remove it",
            (Action(test, undo=self.gone("measure"), scratch=True),),
            note="With fio where it is installed: 1 MiB blocks one after another, then 4 KiB blocks here and there, "
            f"{self.seconds} s each. Else with dd.",
        )

    def _failure(self, outcome: Outcome) -> str:
        match outcome.words:
            case ("full", size):
                return self._full(int(size) * SHARE)
            case ("failed", tool, status) if status in OVER:
                return f"{tool} on {self.host} was not done after {PATIENCE} s: {self.directory} is too slow, or hangs."
            case ("failed", tool, _):
                return f"{tool} failed. {why_not(self.host, self.directory, outcome.text)}"
        return why_not(self.host, self.directory, outcome.text)

    def _full(self, free: int) -> str:
        return (
            f"{self.directory} on {self.host} has {format_size(free)} free. A test takes at most a tenth of that, and "
            f"less than {format_size(SMALLEST)} would tell of caches alone: make room there first."
        )


def the_ground(text: str) -> Ground:
    """Return what GROUND printed; devices that cannot be read are left out."""
    fstype, _, devices = text.partition("\n")
    try:
        tree = json.loads(devices)["blockdevices"] if devices.strip() else []
    except (ValueError, LookupError):
        tree = []
    words = dict.fromkeys(word for device in tree for word in _words(device))
    return Ground(fstype.strip(), ", ".join(words))


def _words(device: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a device and those below it are: RAID levels, encryption, volumes, and the disks at the end."""
    kind = str(device.get("type") or "")
    if kind == "disk":
        spins = "hard disk" if device.get("rota") in {True, "1"} else "SSD"
        model = str(device.get("model") or "").strip() or posixpath.basename(str(device.get("name")))
        bus = f", {device['tran']}" if device.get("tran") else ""
        yield f"{model} ({spins}{bus}, {format_size(int(device.get('size') or 0))})"
    elif kind == "loop":
        yield f"a file of {format_size(int(device.get('size') or 0))} as a disk"
    elif kind != "part":
        yield "LVM" if kind == "lvm" else kind.upper() if kind.startswith("raid") else kind
    for below in device.get("children") or ():
        yield from _words(below)

"""How fast a disk is that was made to be measured, on a host that uses it: as a device, or as QEMU opens it by itself.

Whatever is on the disk is overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from datastores.domain.errors import BadInput
from datastores.domain.iscsi import Account
from datastores.domain.plan import Action, Change, Command, Counted, Detached, Output, read
from datastores.domain.values import format_size
from datastores.hosts import qemu_img
from datastores.hosts.opened import Opened
from datastores.hosts.throughput import OVER, PATIENCE, TEST, Throughput, ThroughputKnown, the_ground
from datastores.hosts.trials import TELL, Outcome, ask_outcome, the_outcome

SMALL_EACH_SECOND = 256
"""Small blocks for each second that a part of the test is to last: qemu-img counts blocks, not seconds."""
FIGURES = 4
"""Parts of the test, each of which moves about as much as the first."""

GROUND = """
echo
disk=$(readlink -e -- "$1") && [ -b "$disk" ] || exit 0
lsblk -J -b -s -o NAME,TYPE,SIZE,MODEL,ROTA,TRAN -- "$disk" 2>/dev/null || :
"""
"""No file system, then the devices that a disk is made of. Before it is there it is made of none."""

MEASURE_DEVICE = (
    TELL
    + """
size=$3 seconds=$4 how=direct
trap 'rm -f -- "$part" "$said"' EXIT
name=$(readlink -e -- "$2") && [ -b "$name" ] || { echo "$2: it is no device" >"$said"; tell unwritten; }
[ "$(blockdev --getsize64 -- "$name")" -ge "$size" ] || { echo "$2: it is too small" >"$said"; tell unwritten; }
"""
    + TEST
)
"""$1: the outcome, $2: the device or a link to it, $3: its bytes, $4: seconds for each of the four parts of fio."""

MEASURE_OPENED = (
    TELL
    + f"""
size=$2 small=$3 patience={PATIENCE}
trap 'rm -f -- "$part" "$said"' EXIT
if [ -n "$4" ]; then
    secret=$(cat -- "$5" 2>"$said") || tell unwritten
    export LIBISCSI_CHAP_USERNAME="$4" LIBISCSI_CHAP_PASSWORD="$secret"
fi
shift 5
"""
    + qemu_img.BENCH
    + """
tell QEMU direct "$size"
"""
)
"""$1: the outcome, $2: bytes, $3: small blocks, $4, $5: as whom libiscsi logs in, and the file of its secret; then what
QEMU opens."""


@dataclass(frozen=True, slots=True)
class Used:
    """A disk as one host uses it. ``over``: from where its bytes come over the network; "" for those of the host.

    ``account``: as whom QEMU logs in where it does so by itself.
    """

    disk: Opened
    over: str = ""
    account: Account | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskThroughputKnown(ThroughputKnown):
    """How fast a disk of ``size`` bytes is on this host has been measured; the facts are the figures.

    ``directory``: that of the datastore there.
    """

    used: Used

    def __post_init__(self) -> None:
        ThroughputKnown.__post_init__(self)
        if self.used.disk.is_file or self.used.disk.format != "raw":
            raise BadInput("Only what holds a disk as it is can be measured as one.")

    @property
    def title(self) -> str:
        return f"throughput of {self.used.disk.path} is measured"

    def reads(self) -> tuple[Command, ...]:
        return ask_outcome(self.outcome("measure")), read("sh", "-c", GROUND, "sh", self.used.disk.path, root=True)

    def facts(self, outputs: Sequence[Output]) -> Throughput:
        ask = self.reads()[0]
        outcome = the_outcome(self.host, ask, outputs[0])
        ground = replace(the_ground(outputs[1].stdout), over=self.used.over)
        return Throughput(outcome, self._figures(ask, outcome), ground, None)

    def plan(self, facts: Throughput) -> Change | None:
        if self.is_known(facts):
            return None
        how, tools = self._by_qemu(), "With qemu-img, as QEMU reaches it."
        if self.used.disk.is_path:
            how, tools = self._on_device(), f"With fio where it is installed, {self.seconds} s each. Else with dd."
        test = Detached(Command(("sh", "-c", *how)), total=FIGURES * self.size, counted=Counted.WRITTEN)
        return Change(
            f"write and read {format_size(self.size)} of {self.used.disk.path}",
            (Action(test, undo=self.gone("measure"), scratch=True),),
            note=f"1 MiB blocks one after another, then 4 KiB blocks here and there. {tools}",
        )

    def _on_device(self) -> tuple[str, ...]:
        limits = str(self.size), str(self.seconds)
        return MEASURE_DEVICE, "sh", self.outcome("measure"), self.used.disk.path, *limits

    def _by_qemu(self) -> tuple[str, ...]:
        limits = str(self.size), str(SMALL_EACH_SECOND * self.seconds)
        account = self.used.account
        who = (account.name, account.file) if account else ("", "")
        return MEASURE_OPENED, "sh", self.outcome("measure"), *limits, *who, *self.used.disk.options

    def _failure(self, outcome: Outcome) -> str:
        what, text = self.used.disk.path, outcome.text.strip() or "no message"
        match outcome.words:
            case ("failed", tool, status) if status in OVER:
                return f"{tool} on {self.host} was not done after {PATIENCE} s: {what} is too slow, or hangs."
            case ("failed", tool, _):
                return f"{tool} on {self.host} failed with {what}: {text}"
        return f"{what} on {self.host} cannot be written: {text}"

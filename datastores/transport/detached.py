"""Commands that outlast a connection: transient systemd units, their output in a file, followed from here.

The unit keeps its exit status after its end (RemainAfterExit, or "failed"), until it was read and the unit is
removed. The log file is made before the unit and removed before it; so a log without a unit means that the
unit vanished with a restart of the host, and a unit without a log that it only waits to be removed.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from datastores.domain.errors import (
    BadInput,
    Cancelled,
    CommandFailed,
    HostKeyChanged,
    NotConnected,
    TimedOut,
    Unreachable,
)
from datastores.domain.plan import Command, Detached, OnNews, OnOutput, OnProgress, Output, read
from datastores.transport.quoting import STOPPED
from datastores.transport.stream import Lines

if TYPE_CHECKING:
    from datastores.transport.shell import SSHShell

T = TypeVar("T")

LOGS = "/var/lib/cloudstore/jobs"
BLOCK = 1 << 20
"""Bytes of a log that are read at a time."""
FIRST_POLL, POLL, SLOW_POLL = 0.05, 0.3, 2.0
FIRST_PAUSE, PAUSE = 0.5, 10.0
KEPT_LINES = 20
GONE = 255
"""Exit status of a unit that vanished."""

_TOLD = re.compile(r"\b(\d+) of (?:about )?(\d+) bytes\b")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}\Z")  # systemd.unit(5), without what would need escapes

# $1: unit, $2: log, then the arguments of systemd-run. Every caller waits for the lock, so that a start which
# was cut off from its caller is not taken for one that vanished.
START = """
umask 077
mkdir -p -- "${2%/*}" || exit
exec 9<"${2%/*}"; flock -w 30 9 || { echo "another start goes on for too long" >&2; exit 1; }
state=$(systemctl show --property=LoadState --value -- "$1") || exit
[ "$state" = not-found ] || exit 0
[ ! -e "$2" ] || exit 0
: >"$2" || exit
unit=$1 log=$2; shift 2
systemd-run "$@" 9<&- && exit
status=$?
state=$(systemctl show --property=LoadState --value -- "$unit")
[ "$state" = loaded ] || { rm -f -- "$log"; exit $status; }
"""

# $1: unit, $2: log. "stop" waits until the processes are gone; a unit that failed needs reset-failed as well.
REMOVE = """
rm -f -- "$2"
systemctl stop -- "$1" 2>/dev/null
systemctl reset-failed -- "$1" 2>/dev/null
state=$(systemctl show --property=LoadState --value -- "$1") || exit 75
[ "$state" = not-found ] || { echo "the unit is still there ($state)" >&2; exit 1; }
"""

# $1: unit, $2: what is counted. Some hosts keep the tree of systemd beside those of the controllers (cgroups(7)).
COUNT = """
group=$(systemctl show --property=ControlGroup --value -- "$1")
for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd; do
    [ -n "$group" ] && [ -r "$tree$group/cgroup.procs" ] && break
done || exit
while read -r process; do
    sed -n "s/^$2: //p" "/proc/$process/io"
done <"$tree$group/cgroup.procs" 2>/dev/null | sort -n | tail -n 1
"""

NO_SYSTEMD = 75
"""What the script above exits with when nobody answers it."""
STOP = 20
"""Seconds between SIGTERM and SIGKILL when a unit is stopped."""

OPTIONS = (
    "--quiet",
    "--no-ask-password",
    "--description=cloudstore job",
    "--setenv=LC_ALL=C",
    "--property=Type=simple",  # with "exec" a command that fails at once could pass for one that was not started
    "--property=RemainAfterExit=yes",
    "--property=KillMode=control-group",
    f"--property=TimeoutStopSec={STOP}",
)
PROPERTIES = "LoadState,SubState,Result,ExecMainCode,ExecMainStatus"


@dataclass(frozen=True, slots=True)
class State:
    """What ``systemctl show`` says about a unit."""

    loaded: bool
    ended: bool
    exit_status: int

    @classmethod
    def parse(cls, text: str) -> State:
        fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        ended = fields["SubState"] in {"exited", "failed", "dead"}
        status = int(fields["ExecMainStatus"] or 0)
        if fields["ExecMainCode"] in {"2", "3"}:  # CLD_KILLED, CLD_DUMPED: the status is a signal's number
            status += 128
        if ended and not status and fields["Result"] != "success":  # it was never started
            status = GONE
        return cls(fields["LoadState"] != "not-found", ended, status)


class Unit:
    """One detached command on one host. ``patience``: seconds for which a lost host is waited for."""

    def __init__(
        self, shell: SSHShell, name: str, detached: Detached | None = None, *, patience: float = 0.0,
        on_news: OnNews = lambda text, answers: None,
    ) -> None:  # fmt: skip
        if not _NAME.match(name):
            raise BadInput(f"{name[:80]!r} cannot be the name of a unit.")
        if detached and detached.command.stdin:
            raise BadInput(f"{detached.command.argv[0]} has input; a detached command gets none.")
        self._shell, self._detached, self._patience = shell, detached or Detached(Command(())), patience
        self._name, self._log = f"{name}.service", f"{LOGS}/{name}.log"
        self._offset = self._done = 0
        self._last = ""
        self._answered = time.monotonic()
        self._on_news = on_news

    def follow(self, on_output: OnOutput, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Output:
        """Start or attach, and stay until the end. See ``SSHShell.run_detached``."""

        def remember(text: str) -> None:
            self._last = (self._last + text)[-8192:]
            on_output(text)
            self._take_told(text, on_progress)

        lines = Lines(remember)
        pause = FIRST_POLL
        if not cancelled():
            self._through(self._start, starting=True)
        while True:
            if cancelled():
                self._through(self.remove)
                raise Cancelled(f"Cancelled: what ran on {self._shell.host} was stopped and is gone.")
            asked = time.monotonic()
            state, more = self._through(lambda: self._poll(lines, on_progress))
            if more:
                continue
            if state.ended:
                lines.end()
                return self._end(state, on_progress)
            lines.idle()
            # a host that takes long to answer is asked less often: it has the work to do, too
            time.sleep(max(pause, min(SLOW_POLL, time.monotonic() - asked)))
            pause = min(POLL, pause * 2)

    def remove(self) -> None:
        """Stop the unit, see it gone, remove its log.

        :raises CommandFailed: it does not go.
        :raises Unreachable: the connection was lost, or systemd does not answer (the host is shutting down).
        """
        command = Command(("sh", "-c", REMOVE, "sh", self._name, self._log), timeout=STOP + 40)
        output = self._shell.run(command)
        if output.exit_status == NO_SYSTEMD:
            raise Unreachable(f"systemd on {self._shell.host} does not answer: {output.stderr.strip()}")
        if not output.ok:
            raise CommandFailed(("systemctl", "stop", self._name), output.exit_status, output.stderr, self._shell.host)

    def _start(self) -> None:
        """Start the unit unless it, or its log, is there already."""
        command, account = self._detached.command, self._shell.endpoint.account
        options = [f"--unit={self._name}", *OPTIONS]
        options += [f"--property=Standard{stream}=append:{self._log}" for stream in ("Output", "Error")]
        if not command.root:
            options.append(f"--uid={account}")
        # systemd puts variables into arguments; $$ is its way to write $ (systemd.service(5), "COMMAND LINES")
        words = [*command.argv[:1], *(word.replace("$", "$$") for word in command.argv[1:])]
        start = Command(("sh", "-c", START, "sh", self._name, self._log, *options, "--", *words))
        try:
            output = self._shell.run(start)
        except TimedOut as error:
            raise Unreachable(f"systemd on {self._shell.host} does not answer ({error})") from error
        if not output.ok:
            raise CommandFailed(command.argv, output.exit_status, output.stderr, self._shell.host)

    def _poll(self, lines: Lines, on_progress: OnProgress) -> tuple[State, bool]:
        """Read state, log and progress in one round trip; returns (state, whether there is more of the log).

        The state comes first: when it says that the unit has ended, the log read after it is complete.
        """
        block = f"skip={self._offset}", f"count={BLOCK}", "iflag=skip_bytes,count_bytes"
        wanted = [
            read("systemctl", "show", f"--property={PROPERTIES}", "--", self._name, root=True),
            read("dd", f"if={self._log}", "bs=64K", *block, "status=none", root=True),
            *self._ask_progress(),
        ]
        try:
            shown, piece, *sizes = self._shell.run_many(wanted)
        except CommandFailed as error:  # a host that shuts down ends our shell as well
            raise Unreachable(str(error)) from error
        if not shown.ok:
            raise Unreachable(f"systemd on {self._shell.host} does not answer: {shown.stderr.strip()}")
        if piece.exit_status in STOPPED:
            raise Unreachable(f"{self._log} on {self._shell.host} cannot be read: {piece.stderr.strip()}")
        lines.feed(piece.raw)
        self._offset += len(piece.raw)
        for size in sizes:
            self._take_progress(size, on_progress)
        return State.parse(shown.stdout), len(piece.raw) == BLOCK

    def _ask_progress(self) -> Iterator[Command]:
        detached = self._detached
        if detached.growing:
            yield read("stat", "-L", "-c", "%b %B", "--", detached.growing, root=True, timeout=5)
        elif detached.meter:
            yield detached.meter
        elif detached.counted:
            yield read("sh", "-c", COUNT, "sh", self._name, detached.counted, root=True, timeout=5)

    def _take_progress(self, size: Output, on_progress: OnProgress) -> None:
        if size.ok and (said := size.stdout.split()):  # else it is not there yet
            done, *unit = said
            self._report(int(done) * int(unit[0] if unit else 1), on_progress)

    def _take_told(self, text: str, on_progress: OnProgress) -> None:
        """Report what the last line says that tells how far it is. What is to be done may become more, or less."""
        if self._detached.tells and (told := _TOLD.findall(text)):
            done, total = map(int, told[-1])
            on_progress(min(done, total), total)

    def _report(self, done: int, on_progress: OnProgress) -> None:
        total, self._done = self._detached.total, max(done, self._done)
        on_progress(min(self._done, total) if total else self._done, total)

    def _end(self, state: State, on_progress: OnProgress) -> Output:
        host, last = self._shell.host, "\n".join(self._last.splitlines()[-KEPT_LINES:])
        if not state.loaded:
            last += (
                f"\n{self._name} is not known to systemd on {host} any more, though it did not end: the host was "
                "restarted meanwhile, or somebody stopped the unit. What it wrote so far was left as it is."
            )
        elif not last and 200 <= state.exit_status <= 243:
            last = f"systemd could not run the program: {state.exit_status} is explained in systemd.exec(5)"
        elif not last and state.exit_status > 128:
            last = f"ended by signal {state.exit_status - 128}"
        if state.loaded and not state.exit_status and self._detached.total:
            self._report(self._detached.total, on_progress)
        # The outcome is known, and what stays behind, should this fail, is a finished unit that does no harm.
        with contextlib.suppress(Unreachable, CommandFailed):
            self.remove()
        return Output(state.exit_status if state.loaded else GONE, stderr=last.lstrip("\n"))

    def _through(self, action: Callable[[], T], *, starting: bool = False) -> T:
        """Do it, again and again while the host cannot be reached. What is done must be safe to do twice."""
        try:
            result = action()
        except HostKeyChanged:
            raise
        except Unreachable as error:
            if starting and isinstance(error, NotConnected):
                raise
            self._on_news(f"{error} What was started on {self._shell.host} goes on there; we try again.", False)
            result = self._again(action, error)
            self._on_news(f"{self._shell.host} answers again after {self._silence:.0f} s.", True)
        self._answered = time.monotonic()
        return result

    def _again(self, action: Callable[[], T], error: Unreachable) -> T:
        pause = FIRST_PAUSE
        while True:
            if self._silence > self._patience:
                raise Unreachable(
                    f"{self._shell.host} could not be reached for {self._silence:.0f} s ({error}). "
                    f"{self._name} may have gone on there; a new attempt attaches to it."
                ) from error
            time.sleep(pause)
            pause = min(PAUSE, pause * 2)
            try:
                return action()
            except HostKeyChanged:
                raise
            except Unreachable as still:
                error = still

    @property
    def _silence(self) -> float:
        """Seconds since the host answered last."""
        return time.monotonic() - self._answered

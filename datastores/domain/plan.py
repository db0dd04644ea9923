"""The vocabulary of a plannable, reversible change to hosts. Pure data: no I/O.

A *step* is a statement about one host that can be true or not. It names the commands that read the host
(``reads``), turns their output into facts (``facts``) and says what has to be done (``plan``). None of the
three touches anything, so the runner can read all steps of a stage in one round trip, show a plan before
anything changes, verify by planning again, and tests need no host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, TypeVar

from datastores.domain.diffs import unified

F = TypeVar("F")  # what a step reads

READ_DEADLINE = 15.0
"""Seconds after which a read is killed on the host: a dead NFS server must not hang a job."""


@dataclass(frozen=True, slots=True)
class Command:
    """One argv to run on a host; never a shell string.

    ``root``: run through ``sudo -n`` when the account is not root. ``timeout``: seconds; the command is killed
    on the host when they are over. ``stdin`` is bytes in latin-1; with ``secret`` it is never shown or stored.
    """

    argv: tuple[str, ...]
    root: bool = True
    timeout: float = 60.0
    stdin: str = field(default="", repr=False)
    secret: bool = False


def read(*argv: str, root: bool = False, timeout: float = READ_DEADLINE) -> Command:
    """Return a command that only reads, with a deadline."""
    return Command(argv, root=root, timeout=timeout)


WRITE = """
new=$(mktemp -- "$1.cloudstore-XXXXXXXX") || exit
trap 'rm -f -- "$new"' EXIT
trap 'exit 143' HUP INT TERM
dd of="$new" conv=notrunc,fsync status=none && chown -- "$2:$3" "$new" && chmod -- "$4" "$new" || exit
[ -z "$5" ] || cp -pT -- "$1" "$5" || exit
mv -fT -- "$new" "$1"
"""
"""$1: the file; $2, $3, $4: owner, group and mode; $5: where the old one is kept, "" for nowhere. What two jobs write
at once has two names."""


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Replace ``path`` atomically: a new file beside it, synced, with owner and mode, then renamed over it.

    It is for files of which nobody else writes a part; for those there is EditLines.

    ``before`` is the text it replaces (None: there was no file), kept for the diff and as ``<path>.cloudstore~``.
    """

    path: str
    content: str = field(repr=False)
    before: str | None = field(default=None, repr=False)
    owner: str = "root"
    group: str = "root"
    mode: str = "0644"

    @property
    def commands(self) -> tuple[Command, ...]:
        """The argv lists that do it, in order; each must succeed."""
        kept = "" if self.before is None else f"{self.path}.cloudstore~"
        argv = ("sh", "-c", WRITE, "sh", self.path, self.owner, self.group, self.mode, kept)
        return (Command(argv, stdin=encode(self.content)),)

    @property
    def undo(self) -> Command:
        """The command that brings the file back as it was."""
        if self.before is None:
            return Command(("rm", "-f", "--", self.path))
        return Command(("mv", "-fT", "--", f"{self.path}.cloudstore~", self.path))

    @property
    def diff(self) -> str:
        """A unified diff from the old text to the new one."""
        return unified(self.path, self.before or "", self.content, around=2)


@dataclass(frozen=True, slots=True)
class EditLines:
    """Let ``command`` put the lines ``new`` in the place of ``old`` in a file that others write, too.

    "" for none. What else is in the file by then stays, so it is no part of what is approved.
    """

    path: str
    old: str
    new: str
    command: Command

    @property
    def diff(self) -> str:
        """A unified diff of these lines alone."""
        return unified(self.path, self.old, self.new)


class Counted(StrEnum):
    """What a process has moved so far, as /proc/<pid>/io calls it (proc(5)); what a cache held is among it."""

    READ = "rchar"
    WRITTEN = "wchar"


@dataclass(frozen=True, slots=True)
class Detached:
    """A command that may outlast a connection: it runs on the host as a transient systemd unit.

    ``growing`` is the file whose allocated bytes tell the progress towards ``total`` bytes (0: unknown). Where no file
    tells it, ``meter`` prints the bytes that are done; or they are ``counted`` of the process of the command that has
    moved the most. ``tells``: its output does, in lines with "<done> of <total> bytes", perhaps "of about".
    """

    command: Command
    growing: str = ""
    total: int = 0
    meter: Command | None = None
    counted: Counted | None = None
    tells: bool = False


Operation: TypeAlias = Command | WriteFile | EditLines | Detached


@dataclass(frozen=True, slots=True)
class Output:
    """What a command said. ``stdout`` is text; ``raw`` the same as bytes."""

    exit_status: int
    raw: bytes = b""
    stderr: str = ""

    @property
    def stdout(self) -> str:
        return self.raw.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        return self.exit_status == 0


@dataclass(frozen=True, slots=True)
class Action:
    """One operation and the command that takes it back; ``undo=None`` says that nothing does.

    ``scratch``: it touches only names that belong to this job, so its undo is safe even when it is
    unknown how far the operation got.

    ``final``: it destroys what cannot be brought back. Once it has begun, nothing before it is undone: a copy that was
    made first may be all that is left.

    ``harmless``: what it leaves needs no undo; the others are taken back, and nobody misses its own.
    """

    do: Operation
    undo: Command | None = None
    scratch: bool = False
    final: bool = False
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What a step needs done on its host. ``note`` explains or warns, for the plan page.

    ``follows``: it is derived from what the steps before it make, and kept beside that: who approved those approved it.
    """

    summary: str
    actions: tuple[Action, ...]
    note: str = ""
    follows: bool = False


class Shell(Protocol):
    """Where commands run: ``transport.shell.SSHShell``, or the fake in ``tests/fakes.py``."""

    host: str

    @property
    def warm(self) -> bool:
        """Whether a command would find a connection that is there already."""

    def run(self, command: Command, *, on_output: OnOutput | None = None) -> Output:
        """Run one command. A non-zero exit is an Output, not an error.

        :raises Unreachable: the connection was lost; the outcome is unknown.
        """

    def run_many(self, commands: Sequence[Command]) -> list[Output]:
        """Run read-only commands in order, in one round trip. Raises Unreachable."""

    def run_in_order(
        self, commands: Sequence[Command], reads: Sequence[Command] = ()
    ) -> tuple[list[Output], list[Output]]:
        """Run short commands in order, then reads, all in one round trip.

        Whoever lists the processes of the host may see the input of the commands meanwhile, so a secret is refused;
        reads have no input. It ends at the first command that fails. Return the outputs of the commands that ran, the
        last of which may be that failure (exit status 124: its time was up), and those of the reads as far as they
        came: none after a failure, and perhaps none although all went well.

        :raises Unreachable: unknown what was run.
        :raises BadInput: an input cannot go with the others; nothing was run.
        """

    def run_detached(
        self,
        unit: str,
        detached: Detached,
        *,
        on_output: OnOutput,
        on_progress: OnProgress,
        on_news: OnNews,
        cancelled: Callable[[], bool],
    ) -> Output:
        """Start the unit, or attach to it when it is already there, and follow it to its end.

        ``on_news`` is told when the host is lost meanwhile, and when it is back.

        :raises Cancelled: it was asked to stop, and was seen gone.
        :raises Unreachable: the host did not come back within the time given for re-attaching.
        """

    def forget_unit(self, unit: str) -> None:
        """Stop the unit if it runs, see it gone, and remove it and its log. No error when there is none.

        :raises CommandFailed: it does not go.
        :raises Unreachable: the connection was lost.
        """


Connect: TypeAlias = Callable[[str], Shell]
"""Called with a host's name; gives its shell."""
OnOutput: TypeAlias = Callable[[str], None]
"""Called with each piece of text, whole lines where possible."""
OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with (bytes done, bytes in all); 0 in all: unknown."""
OnNews: TypeAlias = Callable[[str, bool], None]
"""Called with a sentence and whether the host answers: when it is lost, and when it is back."""


class Step(Protocol[F]):
    """One idempotent statement about one host: "this directory exists", "this disk is a clone"."""

    @property
    def host(self) -> str: ...

    @property
    def title(self) -> str:
        """The statement, in the words of the trade: "group cloud has gid 1001"."""

    def reads(self) -> tuple[Command, ...]:
        """The commands whose outputs ``facts`` needs, in that order."""

    def facts(self, outputs: Sequence[Output]) -> F:
        """Parse. A failed read is not an absence: only the tool's own "does not exist" is.

        :raises CommandFailed: the host could not be read.
        """

    def plan(self, facts: F) -> Change | None:
        """Return the change that is needed, or None when the host is already so. Pure.

        :raises Refused: something else is in the way.
        """


AnyStep: TypeAlias = Step[Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps whose hosts may run side by side; on one host they run in order. Stages run one after another.

    ``gate``: unless they can be taken, nothing of the stages after it is so much as read.
    """

    title: str
    steps: tuple[AnyStep, ...]
    gate: bool = False


Plan: TypeAlias = tuple[Stage, ...]


def encode(text: str) -> str:
    """Text as it goes into ``Command.stdin``: UTF-8 bytes, one character each."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")

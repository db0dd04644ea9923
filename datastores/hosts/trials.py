"""What a host can only tell by trying: whether root may write into a directory, and whose what it writes is.

A trial is a change: it writes a file of its job, removes it, and leaves what came of it in a small file below /run,
from which the step is judged afterwards. So a refusal names the cause, and a crash on the way leaves nothing that
the next attempt, or the undo, does not remove.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.inodes import look, missing, seen
from datastores.hosts.parsing import canonical_access, canonical_path

RUN = "/run"
TRIALS = "trial", "measure", "copied"
OUTCOME_MAX = 1 << 20
"""Bytes of an outcome that are read; fio says some 20 KiB."""

TELL = """
umask 077
outcome=$1 part=$1.part said=$1.said
tell() { { printf '%s\\n' "$*"; cat -- "$said"; } >"$part" && mv -fT -- "$part" "$outcome"; exit; }
trap 'exit 143' TERM INT HUP
"""
"""How a trial says what came of it: a line of words, then what the tool said. $1: the outcome."""

TRY = (
    TELL
    + """
file=$2 owner=$3 mode=$4
trap 'rm -f -- "$file" "$part" "$said"' EXIT
rm -f -- "$file"
(umask "$(printf '%04o' $((0777 & ~0$mode)))" &&
    dd if=/dev/zero of="$file" bs=4096 count=1 conv=excl,fsync oflag=nofollow status=none 2>"$said") || tell unwritten
chown -h -- "$owner" "$file" 2>"$said" && came=written || came=unowned
[ $came = unowned ] || stat -c '%U:%G %a' -- "$file" >"$said" 2>&1
rm -- "$file" 2>>"$said" || tell unremoved
tell $came "$(stat -c %a -- "${file%/*}")"
"""
)

"""$1: the outcome, $2: the file, $3: its owner, $4: its mode. Others may write into the directory, too: the file is a
new one, and no link that somebody has put in its place is followed.
"""

SQUASHED = (
    "If it is an NFS export with root_squash, root of a client is nobody there. Either export it with no_root_squash: "
    "hypervisors that run QEMU as root need that, and root of each client is then root on the files. Or keep it "
    "squashed and open the modes, a+rwx for directories and a+rw for images: then every account of every client may "
    "write there."
)
OTHERS_WRITE = 0o002
_MODES = "Operation not permitted", "Permission denied"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``words``: what came of a trial. ``text``: what the tool said."""

    words: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """Something that is tried in ``directory``. ``token``: letters and digits that no other job uses."""

    host: str
    directory: str
    token: str

    def __post_init__(self) -> None:
        canonical_path(self.directory)
        if not self.token.isalnum() or not self.token.isascii():
            raise BadInput("The token of a trial consists of letters and digits.")

    def file(self, what: str) -> str:
        """Return the file of this job in the directory."""
        return posixpath.join(self.directory, f".cloudstore-{what}-{self.token}")

    def outcome(self, what: str) -> str:
        """Return where it is said what came of it."""
        return f"{RUN}/cloudstore-{what}-{self.token}"

    def left(self, what: str) -> tuple[str, ...]:
        """Return all that a trial may leave when it is cut off."""
        outcome = self.outcome(what)
        return self.file(what), outcome, f"{outcome}.part", f"{outcome}.said"

    def gone(self, what: str) -> Command:
        return Command(("rm", "-rf", "--one-file-system", "--", *self.left(what)))


def ask_outcome(path: str) -> Command:
    return read("head", "-c", str(OUTCOME_MAX), "--", path, root=True)


def the_outcome(host: str, command: Command, output: Output) -> Outcome | None:
    """Return what came of a trial; None: it has not been made.

    :raises CommandFailed: it could not be read.
    """
    if output.ok:
        first, _, rest = output.stdout.partition("\n")
        return Outcome(tuple(first.split()), rest)
    if output.stderr.rstrip().endswith(": No such file or directory"):
        return None
    raise CommandFailed(command.argv, output.exit_status, output.stderr, host)


def why_not(host: str, directory: str, text: str) -> str:
    """Return in sentences why root could not write there, from what the tool said, and what to do."""
    reason = (text.strip().splitlines() or ["no message"])[-1].rpartition(": ")[2]
    said = f"root on {host} cannot write into {directory}: {reason}."
    if "No space left" in text or "quota exceeded" in text.lower():
        return f"{said} It is full: delete or move something first."
    if "Read-only file system" in text:
        return f"{said} It is mounted read-only, or became so after an error: see the log of the host first."
    if any(mode in text for mode in _MODES):
        return f"{said} {SQUASHED}"
    return said


@dataclass(frozen=True, slots=True)
class RootWrites(Trial):
    """root may write into the directory, and give what it writes to whom images and disks belong.

    In a directory that everybody may write into, the owner does not matter: that is one of the two ways for a root that
    an NFS server takes for nobody.

    Hypervisors and their tools run as root; NFS servers take root of a client for nobody unless they are told
    otherwise (exports(5), root_squash).
    """

    owner: str = "root"
    group: str = "root"
    mode: str = "0660"

    def __post_init__(self) -> None:
        Trial.__post_init__(self)
        canonical_access(self.owner, self.group, self.mode)

    @property
    def title(self) -> str:
        return f"root can write into {self.directory}, for {self.owner}:{self.group}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_outcome(self.outcome("trial")),)

    def facts(self, outputs: Sequence[Output]) -> Outcome | None:
        return the_outcome(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Outcome | None) -> Change | None:
        if facts is None:
            what = (self.outcome("trial"), self.file("trial"), f"{self.owner}:{self.group}", self.mode)
            attempt = Action(Command(("sh", "-c", TRY, "sh", *what)), undo=self.gone("trial"), scratch=True)
            return Change(f"write a file into {self.directory} and remove it", (attempt,))
        self._judge(facts)
        return None

    def _judge(self, found: Outcome) -> None:
        """Raise Refused unless the file was written, had the owner and mode that were wanted, and could be removed."""
        wanted = f"{self.owner}:{self.group} {int(self.mode, 8):o}"
        match found.words:
            case ("written", _) if found.text.strip() == wanted:
                return
            case ("unowned", modes) if int(modes, 8) & OTHERS_WRITE:
                return
            case ("unwritten",):
                raise Refused(why_not(self.host, self.directory, found.text))
            case ("unremoved",):
                raise Refused(f"{self.file('trial')} on {self.host} cannot be removed again: {found.text.strip()}")
        said = found.text.strip() or "no message"
        raise Refused(
            f"What root on {self.host} writes into {self.directory} cannot be given to {self.owner}:{self.group} with "
            f"mode {self.mode} ({said}). {SQUASHED}"
        )


@dataclass(frozen=True, slots=True)
class TrialsSwept(Trial):
    """Nothing of the job's trials is left. Nobody has to approve that, or misses it in an undo."""

    @property
    def title(self) -> str:
        return f"nothing of the test is left in {self.directory}"

    @property
    def everything(self) -> tuple[str, ...]:
        return tuple(path for what in TRIALS for path in self.left(what))

    def reads(self) -> tuple[Command, ...]:
        return (look(*self.everything),)

    def facts(self, outputs: Sequence[Output]) -> tuple[str, ...]:
        """Return what is left."""
        if missing(outputs[0]) == len(self.everything):
            return ()
        return tuple(seen(self.reads()[0], outputs[0]))

    def plan(self, facts: tuple[str, ...]) -> Change | None:
        if not facts:
            return None
        remove = Action(Command(("rm", "-f", "--", *self.everything)), scratch=True, harmless=True)
        return Change("remove what the test has left", (remove,))

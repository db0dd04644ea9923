"""Whole directories: copied and compared byte by byte, and deleted when nobody needs them any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Counted, Detached, Output, read
from datastores.domain.values import format_size, is_below
from datastores.hosts.capacity import FileSystem, ask_room, rooms
from datastores.hosts.copies import PART
from datastores.hosts.inodes import Files, around, look, seen
from datastores.hosts.mounts import FINDMNT, mounted
from datastores.hosts.parsing import canonical_path
from datastores.hosts.trials import RUN, TELL, Outcome, ask_outcome, the_outcome

RSYNC = "rsync -aHAXS --numeric-ids --delete --one-file-system --modify-window=-1 --filter='-x trusted.*'"
"""Owners as numbers, modes, times, hard links, access lists, extended attributes; holes stay holes (rsync(1)).

Times are compared to the nanosecond, which takes a negative window. Attributes that begin with trusted. belong to the
file system: XFS shows access lists a second time as such.
"""
COPY = (
    TELL
    + f"""
source=$2 copy=$3 target=$4
{RSYNC} --stats -- "$source/" "$copy/" 2>"$said" || tell failed $?
{RSYNC} --checksum --dry-run --out-format='%i %n' -- "$source/" "$copy/" >"$said" 2>&1 || tell failed $?
[ ! -s "$said" ] || tell different
sync -f -- "$copy" && (tell same) && mv -nT -- "$copy" "$target"
"""
)
"""$1: the outcome, $2: what is copied, $3: where to, $4: its name in the end.

The second run compares every byte, and copies none; what it lists differs.
"""
UNCOPY = """
outcome=$1 copy=$2 target=$3
[ "$(head -n 1 -- "$outcome" 2>/dev/null)" != same ] || mv -nT -- "$target" "$copy" 2>/dev/null
rm -rf --one-file-system -- "$copy" && rm -f -- "$outcome" "$outcome.part" "$outcome.said"
"""
"""What has its name is taken away only as long as the outcome says that it is this job's: from the switch on it may be
written to, and stays."""

DATABASES = 'find "$1" -xdev -maxdepth 3 -type f -name "*.db" -exec grep -lam 1 "^SQLite format 3" {} +'
"""Databases of SQLite right below a directory; it prints nothing where there is none."""
SLOW = 60.0
VANISHED = ": No such file or directory"
TOO_SLOW = "the search for databases of SQLite took too long, and these must not lie on a network file system"


def at_most(size: int) -> int:
    """Return the next power of two: what a plan says must still be so when it is carried out, give or take a little."""
    return 1 << max(20, (size - 1).bit_length())


@dataclass(frozen=True, slots=True)
class TreeFacts:
    """``size``: bytes that the source takes; None: it took too long to find out, or there is no source.

    ``inside``: what is mounted at the source or below it. ``databases``: files of SQLite.
    """

    files: Files
    outcome: Outcome | None
    size: int | None
    room: FileSystem | None
    inside: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TreeCopied:
    """``target`` holds all that the directory ``source`` holds, compared byte by byte after it was copied.

    ``path``: where the tree is used. When that is what it is to become (a link, if ``source`` is there now, else a
    directory), nothing is to be copied any more. ``network``: the target is on a network file system.
    """

    host: str
    source: str
    target: str
    path: str
    token: str
    network: bool = False

    def __post_init__(self) -> None:
        for each in (self.source, self.target, self.path):
            canonical_path(each)
        if is_below(self.target, self.source) or is_below(self.source, self.target):
            raise BadInput(f"{self.source} and {self.target} lie in one another.")
        if not self.token.isalnum() or not self.token.isascii():
            raise BadInput("The token of a copy consists of letters and digits.")

    @property
    def title(self) -> str:
        return f"{self.target} is a copy of {self.source}"

    @property
    def part(self) -> str:
        """The copy while it is made: the job's own, whatever else lies beside it."""
        return f"{self.target}.{self.token}{PART}"

    @property
    def outcome(self) -> str:
        return f"{RUN}/cloudstore-copied-{self.token}"

    def reads(self) -> tuple[Command, ...]:
        _, parent, _ = around(self.target)
        return (
            look(self.path, self.source, self.target, parent),
            ask_outcome(self.outcome),
            read("du", "-sx", "-B1", "--", self.source, root=True, timeout=SLOW),
            ask_room(parent),
            read(*FINDMNT),
            read("sh", "-c", DATABASES, "sh", self.source, root=True, timeout=SLOW),
        )

    def facts(self, outputs: Sequence[Output]) -> TreeFacts:
        stat, ask, _, room, table, _ = self.reads()
        _, parent, _ = around(self.target)
        size = outputs[2].stdout.split("\t")[0] if outputs[2].ok else ""
        targets = [mount.target for mount in mounted(self.host, table, outputs[4])]
        return TreeFacts(
            seen(stat, outputs[0]),
            the_outcome(self.host, ask, outputs[1]),
            int(size) if size.isdigit() else None,
            rooms(room, outputs[3]).get(parent),
            tuple(target for target in targets if is_below(target, self.source)),
            self._databases(outputs[5]) if self.network else (),
        )

    def _databases(self, found: Output) -> tuple[str, ...]:
        """Return the databases of SQLite. find(1) exits with 1, too, where grep found none in some of the files.

        :raises CommandFailed: not all of them were looked at.
        """
        complaints = [line for line in found.stderr.splitlines() if not line.endswith(VANISHED)]
        if complaints or found.exit_status not in {0, 1}:
            search = self.reads()[5]
            raise CommandFailed(search.argv, found.exit_status, found.stderr or TOO_SLOW, self.host)
        return tuple(found.stdout.splitlines())

    def plan(self, facts: TreeFacts) -> Change | None:
        if self._is_switched(facts.files):
            return None
        if facts.outcome and facts.outcome.words != ("same",):
            raise Refused(self._failure(facts.outcome))
        if self.target in facts.files:
            if facts.outcome:
                return None
            raise Refused(f"{self.target} on {self.host} is there already. Choose another name; it was left as it is.")
        self._check_source(facts)
        self._check_room(facts)
        command = Command(("sh", "-c", COPY, "sh", self.outcome, self.source, self.part, self.target))
        copy = Detached(command, total=facts.size or 0, counted=Counted.READ)
        remove = Command(("sh", "-c", UNCOPY, "sh", self.outcome, self.part, self.target), timeout=600)
        return Change(
            f"copy {self.source} to {self.target}, and compare every byte",
            (Action(copy, undo=remove, scratch=True),),
            note=self._sizes(facts),
        )

    def _is_switched(self, files: Files) -> bool:
        there = files.get(self.path)
        return there is not None and (there.is_link if self.source == self.path else there.is_directory)

    def _check_source(self, facts: TreeFacts) -> None:
        found = facts.files.get(self.source)
        if found is None or not found.is_directory:
            what = f"is {found.noun}, not a directory" if found else "is not there"
            raise Refused(f"{self.source} on {self.host} {what}, so there is nothing to move.")
        if facts.inside:
            raise Refused(
                f"Something is mounted at {facts.inside[0]} on {self.host}: a directory that is a mount, or holds one, "
                "is not moved. Unmount it, or move what lies in it alone."
            )
        if self.network and facts.databases:
            raise Refused(
                f"{facts.databases[0]} on {self.host} is a database of SQLite, and {self.target} is on a network file "
                "system, whose locks it cannot rely on: it would be damaged. Use MySQL or PostgreSQL for it, or move "
                "the directory on the machine that serves the datastore."
            )

    def _check_room(self, facts: TreeFacts) -> None:
        if facts.room and facts.size is not None and facts.room.available < facts.size:
            raise Refused(
                f"{self.source} on {self.host} takes {format_size(facts.size)}, but only "
                f"{format_size(facts.room.available)} are free for {self.target}."
            )

    def _sizes(self, facts: TreeFacts) -> str:
        """Rounded, for a plan that says something else when its turn comes is not carried out."""
        takes = "an unknown size" if facts.size is None else f"at most {format_size(at_most(facts.size))}"
        free = f"; more than {format_size(at_most(facts.room.available) // 2)} are free there" if facts.room else ""
        return f"It takes {takes}{free}."

    def _failure(self, outcome: Outcome) -> str:
        lines = outcome.text.strip().splitlines() or ["no message"]
        if outcome.words == ("different",):
            return (
                f"{self.source} on {self.host} was written to while it was copied ({lines[0]}). Stop what writes "
                "there, then try again."
            )
        if "not supported" in outcome.text:
            return (
                f"The file system of {self.target} on {self.host} keeps no access lists or extended attributes, and "
                f"{self.source} has some: {lines[0]}"
            )
        return f"rsync on {self.host} failed: {lines[-1]}"


@dataclass(frozen=True, slots=True)
class TreeGone:
    """The directory ``kept``, whose place ``path`` has taken, is gone with all that is in it.

    Only when ``path`` is there and leads elsewhere, and nothing is mounted inside.
    """

    host: str
    kept: str
    path: str

    def __post_init__(self) -> None:
        canonical_path(self.kept)
        canonical_path(self.path)
        if is_below(self.path, self.kept):
            raise BadInput(f"{self.path} lies in {self.kept}, so that is not deleted.")

    @property
    def title(self) -> str:
        return f"{self.kept} is gone"

    def reads(self) -> tuple[Command, ...]:
        return look(self.kept, self.path), read(*FINDMNT), read("realpath", "-e", "--", self.path, self.kept, root=True)

    def facts(self, outputs: Sequence[Output]) -> tuple[Files, tuple[str, ...], bool | None]:
        """Return what is there, what is mounted inside, and whether the path leads there; None: nowhere at all."""
        stat, table, _ = self.reads()
        targets = [mount.target for mount in mounted(self.host, table, outputs[1])]
        inside = tuple(target for target in targets if is_below(target, self.kept))
        real = outputs[2].stdout.splitlines()
        leads_there = is_below(*real) if outputs[2].ok and len(real) == 2 else None
        return seen(stat, outputs[0]), inside, leads_there

    def plan(self, facts: tuple[Files, tuple[str, ...], bool | None]) -> Change | None:
        files, inside, leads_there = facts
        if self.kept not in files:
            return None
        if leads_there:
            raise Refused(f"{self.path} on {self.host} leads to {self.kept}: it is in use. Nothing was deleted.")
        if self.path not in files:
            raise Refused(f"There is no {self.path} on {self.host}: {self.kept} may be all that is left of it.")
        if leads_there is None:
            raise Refused(f"{self.path} on {self.host} leads nowhere: {self.kept} may be all that is left of it.")
        if not files[self.kept].is_directory or inside:
            what = f"has {inside[0]} mounted in it" if inside else f"is {files[self.kept].noun}"
            raise Refused(f"{self.kept} on {self.host} {what}. Nothing was deleted.")
        remove = Detached(Command(("rm", "-rf", "--one-file-system", "--", self.kept), timeout=86400))
        return Change(
            f"delete {self.kept} and all that is in it", (Action(remove, final=True),), note="This cannot be undone."
        )

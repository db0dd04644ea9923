"""A directory that is elsewhere: a link takes its place, and makes room for it again.

A directory of a cloud (its VMs, its images) moves onto a datastore and leaves a symbolic link where it was, so that
nothing has to be told where it is now. What was there is kept under another name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.inodes import Files, look, seen
from datastores.hosts.parsing import canonical_path

FORWARD = """
path=$1 target=$2 kept=$3 copied=$4
[ ! -L "$path" ] || exit 0
[ ! -e "$kept" ] && [ ! -L "$kept" ] || [ ! -e "$path" ] || { echo "$kept is there already" >&2; exit 1; }
ln -sfnT -- "$target" "$path.cloudstore-link" || exit
[ -z "$copied" ] || rm -f -- "$copied" || exit
[ ! -e "$path" ] || mv -nT -- "$path" "$kept" || exit
mv -T -- "$path.cloudstore-link" "$path" || { mv -nT -- "$kept" "$path"; exit 1; }
"""
"""A link takes the place of a directory, which is kept under another name. From wherever an earlier run was cut off.

$4: the file that says that the copy is the job's own; from here on it may be written to, and is not taken back.
"""
BACKWARD = """
path=$1 kept=$2 copied=$3
[ -z "$copied" ] || rm -f -- "$copied" || exit
rm -f -- "$path.cloudstore-link"
[ ! -L "$path" ] || { [ -d "$kept" ] && rm -- "$path"; } || exit
[ -e "$path" ] || mv -nT -- "$kept" "$path"
"""


@dataclass(frozen=True, slots=True)
class LinkFacts:
    files: Files
    leads: str = ""


def ask_link(path: str, *others: str) -> tuple[Command, Command]:
    return look(path, *others), read("readlink", "-z", "--", path, root=True)


def the_link(commands: Sequence[Command], outputs: Sequence[Output], path: str) -> LinkFacts:
    """Return what is there, and where the path leads. Raises CommandFailed when it could not be read."""
    files = seen(commands[0], outputs[0])
    if path not in files or not files[path].is_link:
        return LinkFacts(files)
    if not outputs[1].ok:
        raise CommandFailed(commands[1].argv, outputs[1].exit_status, outputs[1].stderr)
    return LinkFacts(files, outputs[1].raw.decode("utf-8", "surrogateescape").removesuffix("\0"))


@dataclass(frozen=True, slots=True)
class DirectoryLinked:
    """``path`` is a link to the directory ``target``; the directory that was there is kept as ``kept``.

    Both names change in one command: for a moment the path is not there, and whoever goes on after a crash finishes it.
    """

    host: str
    path: str
    target: str
    kept: str
    copied: str = ""
    """The file that says of a copy that it is the job's own."""

    def __post_init__(self) -> None:
        for each in (self.path, self.target, self.kept):
            canonical_path(each)

    @property
    def title(self) -> str:
        return f"{self.path} is a link to {self.target}"

    def reads(self) -> tuple[Command, ...]:
        return ask_link(self.path, self.target, self.kept)

    def facts(self, outputs: Sequence[Output]) -> LinkFacts:
        return the_link(self.reads(), outputs, self.path)

    def plan(self, facts: LinkFacts) -> Change | None:
        path, kept = facts.files.get(self.path), facts.files.get(self.kept)
        if path and path.is_link:
            if facts.leads == self.target:
                return None
            raise Refused(f"{self.path} on {self.host} is a link to {facts.leads} already, not to {self.target}.")
        if path and kept:
            raise Refused(f"{self.kept} on {self.host} is there already. Delete or rename it first.")
        if not (path or kept):
            raise Refused(f"There is no directory {self.path} on {self.host}.")
        switch = Command(("sh", "-c", FORWARD, "sh", self.path, self.target, self.kept, self.copied))
        back = Command(("sh", "-c", BACKWARD, "sh", self.path, self.kept, ""))
        return Change(
            f"{self.path} becomes a link to {self.target}; what was there is kept as {self.kept}",
            (Action(switch, undo=back, scratch=True),),
        )


@dataclass(frozen=True, slots=True)
class DirectoryBack:
    """``path`` is a directory of its own again, that was made beside it as ``copy``; no link to ``target`` any more."""

    host: str
    path: str
    target: str
    copy: str
    copied: str = ""
    """The file that says of the copy that it is the job's own."""

    def __post_init__(self) -> None:
        for each in (self.path, self.target, self.copy):
            canonical_path(each)

    @property
    def title(self) -> str:
        return f"{self.path} is a directory, no link to {self.target}"

    def reads(self) -> tuple[Command, ...]:
        return ask_link(self.path, self.copy)

    def facts(self, outputs: Sequence[Output]) -> LinkFacts:
        return the_link(self.reads(), outputs, self.path)

    def plan(self, facts: LinkFacts) -> Change | None:
        path = facts.files.get(self.path)
        if path and path.is_directory:
            return None
        if path and facts.leads != self.target:
            leads = f"a link to {facts.leads}" if facts.leads else path.noun
            raise Refused(f"{self.path} on {self.host} is {leads}, not a link to {self.target}. It was left as it is.")
        switch = Command(("sh", "-c", BACKWARD, "sh", self.path, self.copy, self.copied))
        back = Command(("sh", "-c", FORWARD, "sh", self.path, self.target, self.copy, ""))
        return Change(
            f"{self.path} becomes a directory again, in the place of the link",
            (Action(switch, undo=back, scratch=True),),
        )

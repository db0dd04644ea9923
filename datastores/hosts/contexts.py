"""The CD that tells a new VM who it is: variables and files, on an ISO image labelled CONTEXT."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, encode, read
from datastores.hosts.copies import AS_SOURCE, PART, Ownership
from datastores.hosts.inodes import Files, around, look, room_for, seen
from datastores.hosts.parsing import canonical_path

LABEL = "CONTEXT"
SCRIPT = "context.sh"
MAKERS = ("/usr/bin/genisoimage", "/usr/bin/xorrisofs", "/usr/bin/mkisofs")
"""Programs that take mkisofs's options; the first that is there is used."""
SECTOR, DESCRIPTOR = 2048, 16  # ECMA-119: the primary volume descriptor is in sector 16
PUBLISHER = "CLOUDSTORE "

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")  # what Joliet keeps unchanged


@dataclass(frozen=True, slots=True)
class Variable:
    """A shell variable of the VM's context; the value may be a secret."""

    name: str
    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _VARIABLE.match(self.name):
            raise BadInput(f"{self.name[:40]!r} is not the name of a variable (letters, digits and _).")
        if "\0" in self.value:
            raise BadInput(f"The value of {self.name} contains a NUL character.")


@dataclass(frozen=True, slots=True)
class ContextFile:
    """A small file that the VM finds on the CD."""

    name: str
    content: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _FILE.match(self.name):
            raise BadInput(f"{self.name[:40]!r} cannot be the name of a context file (letters, digits and . _ -).")


def script(variables: Sequence[Variable]) -> str:
    """Return what the guest's shell reads: every value in single quotes, in which no character is special."""
    lines = (f"{each.name}='" + each.value.replace("'", "'\\''") + "'\n" for each in variables)
    return "# Made by cloudstore for this virtual machine.\n" + "".join(lines)


@dataclass(frozen=True, slots=True)
class ContextFacts:
    """``label`` and ``publisher`` are the fields of the ISO image that is there; empty: it is none, or missing."""

    files: Files
    label: str = ""
    publisher: str = ""


@dataclass(frozen=True, slots=True)
class ContextIsoExists:
    """``path`` is an ISO image labelled CONTEXT that holds these variables and files.

    A digest of the content is its publisher field, so what it holds is known from one sector. A context of ours with
    other content is replaced; anything else in the way is refused. Nothing of the content appears in a log.
    """

    host: str
    path: str
    variables: tuple[Variable, ...] = ()
    files: tuple[ContextFile, ...] = ()
    ownership: Ownership = AS_SOURCE
    """Empty: as the directory, with mode 0640."""
    with_directory: bool = False
    coming: bool = False
    """A step before this one makes the directory."""

    def __post_init__(self) -> None:
        canonical_path(self.path)
        names = [each.name.lower() for each in self.files]
        if len({*names, SCRIPT}) != len(names) + 1:
            raise BadInput(f"Two context files have the same name, or one is called {SCRIPT}.")
        if len({each.name for each in self.variables}) != len(self.variables):
            raise BadInput("Two context variables have the same name.")

    @property
    def title(self) -> str:
        return f"{self.path} holds the context ({len(self.variables)} variables, {len(self.files)} files)"

    @property
    def work(self) -> str:
        """A directory of ours, closed to others, in which it is made."""
        return self.path + PART

    @property
    def contents(self) -> dict[str, str]:
        return {SCRIPT: script(self.variables)} | {each.name: each.content for each in self.files}

    @property
    def publisher(self) -> str:
        digest = hashlib.sha256(json.dumps(self.contents, sort_keys=True).encode("utf-8", "surrogatepass"))
        return PUBLISHER + digest.hexdigest().upper()

    def reads(self) -> tuple[Command, ...]:
        sector = (f"bs={SECTOR}", f"skip={DESCRIPTOR}", "count=1", "iflag=nofollow", "status=none")
        return look(*around(self.path), *MAKERS), read("dd", f"if={self.path}", *sector, root=True)

    def facts(self, outputs: Sequence[Output]) -> ContextFacts:
        stat, dd = self.reads()
        files = seen(stat, outputs[0])
        if self.path not in files or not files[self.path].is_file:
            return ContextFacts(files)
        if not outputs[1].ok:
            raise CommandFailed(dd.argv, outputs[1].exit_status, outputs[1].stderr)
        sector = outputs[1].raw
        if sector[1:6] != b"CD001":
            return ContextFacts(files)
        label, publisher = (sector[start:end].decode("latin-1").strip() for start, end in ((40, 72), (318, 446)))
        return ContextFacts(files, label, publisher)

    def plan(self, facts: ContextFacts) -> Change | None:
        there = facts.files.get(self.path)
        if there is not None:
            if (facts.label, facts.publisher) == (LABEL, self.publisher):
                return None
            if not facts.publisher.startswith(PUBLISHER):
                raise Refused(f"{self.path} on {self.host} is {there.noun}, but not a context made here. Move it away.")
        maker = next((each for each in MAKERS if each in facts.files), None)
        if maker is None:
            raise Refused(
                f"{self.host} has none of {', '.join(map(posixpath.basename, MAKERS))}. Install genisoimage or xorriso."
            )
        directory = room_for(self.host, facts.files, self.path, with_directory=self.with_directory, coming=self.coming)
        note = "" if there is None else "Replaces the context of before."
        return Change(self.title, (*directory, *self._make(maker, facts), *self._place(facts)), note)

    def _make(self, maker: str, facts: ContextFacts) -> tuple[Action, ...]:
        iso, root = f"{self.work}/iso", f"{self.work}/files"
        label = ("-quiet", "-V", LABEL, "-publisher", self.publisher, "-J", "-R")
        _, parent, above = around(self.path)
        wanted = self.ownership.with_mode("0640").or_like(facts.files[parent if parent in facts.files else above])
        commands = (
            self._clear(),
            Command(("install", "-d", "-m", "0700", "--", self.work, root)),
            *(self._write(f"{root}/{name}", text) for name, text in self.contents.items()),
            Command((maker, *label, "-o", iso, root)),
            *wanted.commands(iso),
            Command(("sync", "--", iso)),
        )
        return tuple(Action(command, undo=self._clear(), scratch=True) for command in commands)

    def _place(self, facts: ContextFacts) -> tuple[Action, ...]:
        iso = f"{self.work}/iso"
        clean = Action(self._clear(), undo=Command(("install", "-d", "-m", "0700", "--", self.work)), scratch=True)
        if self.path in facts.files:
            return Action(Command(("mv", "-fT", "--", iso, self.path))), clean
        there, back = ("mv", "-nT", "--", iso, self.path), ("mv", "-nT", "--", self.path, iso)
        return Action(Command(there), undo=Command(back)), clean

    def _write(self, path: str, text: str) -> Command:
        return Command(("dd", f"of={path}", "status=none"), stdin=encode(text), secret=True)

    def _clear(self) -> Command:
        return Command(("rm", "-rf", "--", self.work))

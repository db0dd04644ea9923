"""Do several hosts see the same directory? A small file that one of them writes is looked for on the others."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, WriteFile, read
from datastores.hosts.inodes import Files, look, seen
from datastores.hosts.parsing import canonical_path

CACHE_SECONDS = 31
"""An NFS client may believe for 30 s that a file is missing (nfs(5), acdirmin)."""


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    files: Files
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Probe:
    """The file ``.cloudstore-probe-<token>`` in ``directory``; the token is its content too."""

    host: str
    directory: str
    token: str

    def __post_init__(self) -> None:
        canonical_path(self.directory)
        if not self.token.isalnum() or not self.token.isascii():
            raise BadInput("The token of a probe consists of letters and digits.")

    @property
    def path(self) -> str:
        return posixpath.join(self.directory, f".cloudstore-probe-{self.token}")

    @property
    def text(self) -> str:
        return f"{self.token}\n"

    def reads(self) -> tuple[Command, ...]:
        return look(self.directory, self.path), read("head", "-c", "100", "--", self.path, root=True)

    def facts(self, outputs: Sequence[Output]) -> ProbeFacts:
        stat, head = self.reads()
        files = seen(stat, outputs[0])
        if self.path not in files:
            return ProbeFacts(files)
        if not outputs[1].ok:
            raise CommandFailed(head.argv, outputs[1].exit_status, outputs[1].stderr)
        return ProbeFacts(files, outputs[1].stdout)

    def check(self, facts: ProbeFacts) -> bool:
        """Tell whether the probe is there. Raises Refused when another file has its name.

        Without the directory there is none: an earlier step may make or mount it.
        """
        if self.path in facts.files and facts.text != self.text:
            raise Refused(f"{self.path} on {self.host} is not our probe. Remove it.")
        return self.path in facts.files


@dataclass(frozen=True, slots=True)
class ProbePresent(_Probe):
    """The probe is in the directory, as this host sees it. Remove it with ``ProbeGone``."""

    @property
    def title(self) -> str:
        return f"{self.directory} holds a probe"

    def plan(self, facts: ProbeFacts) -> Change | None:
        if self.check(facts):
            return None
        write = WriteFile(self.path, self.text)
        return Change(self.title, (Action(write, undo=write.undo, scratch=True),))


@dataclass(frozen=True, slots=True)
class ProbeVisible(_Probe):
    """The probe that another host wrote is seen here: both see the same directory at this path.

    A host that does not see it is given the time after which its cache must have looked again; if it is still
    missing then, the step is not verified.
    """

    @property
    def title(self) -> str:
        return f"{self.directory} on {self.host} is the same directory as on the storage host"

    def plan(self, facts: ProbeFacts) -> Change | None:
        if self.check(facts):
            return None
        wait = Action(Command(("sleep", str(CACHE_SECONDS)), root=False), harmless=True)
        return Change(f"look for the probe in {self.directory}, again after {CACHE_SECONDS} s", (wait,))


@dataclass(frozen=True, slots=True)
class ProbeGone(_Probe):
    """The probe has served its purpose and is there no more. Nobody has to approve that, or misses it in an undo."""

    @property
    def title(self) -> str:
        return f"{self.directory} holds no probe"

    def plan(self, facts: ProbeFacts) -> Change | None:
        if not self.check(facts):
            return None
        remove = Action(Command(("rm", "-f", "--", self.path)), scratch=True, harmless=True)
        return Change(f"remove the probe from {self.directory}", (remove,))

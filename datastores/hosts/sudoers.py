"""An account that may become root without a password, so that no root login is needed over the network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, Output, WriteFile
from datastores.domain.values import account_name
from datastores.hosts.parsing import TextFile, canonical_path, editable, text_file, text_reads

SUDOERS = "/etc/sudoers"
TOOLS = ("/usr/bin/timeout", "/usr/bin/sh", "/bin/sh")
"""What the transport puts before every command that needs root: a deadline, or a script of several reads. Either can
start anything, so the account is root in all but name; there is no smaller list that would not pretend otherwise."""

_INCLUDES = re.compile(r"^[#@]includedir\s+/etc/sudoers\.d/?\s*$", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+\Z")


def sudoers_text(account: str, tools: Sequence[str] = TOOLS) -> str:
    """Return the sudoers file that lets ``account`` run ``tools`` (absolute paths) as root without a password.

    :raises BadInput: a path with a character that means something to sudo, or no tool at all.
    """
    account_name(account)
    for tool in tools:
        canonical_path(tool, "The tool")
        if not _PLAIN.match(tool):
            raise BadInput(f"The path {tool} has characters that sudoers would have to escape.")
    if not tools:
        raise BadInput(f"No tool was named that {account} may run.")
    return (
        f"# {account} manages the storage of this host. Written by cloudstore, which replaces the whole file.\n"
        f"# Without it {account} is an account like any other.\n"
        f"Defaults:{account} !requiretty\n"
        f"{account} ALL=(root) NOPASSWD: {', '.join(tools)}\n"
    )


@dataclass(frozen=True, slots=True)
class SudoersFacts:
    """Our file, and whether /etc/sudoers reads its directory; None: there is no /etc/sudoers (yet)."""

    file: TextFile
    included: bool | None


@dataclass(frozen=True, slots=True)
class SudoersPresent:
    """``account`` may run what we need as root. visudo has accepted the file before sudo ever sees it."""

    host: str
    account: str

    def __post_init__(self) -> None:
        account_name(self.account)

    @property
    def title(self) -> str:
        return f"{self.account} may become root without a password"

    @property
    def path(self) -> str:
        return f"/etc/sudoers.d/cloudstore-{self.account}"

    def reads(self) -> tuple[Command, ...]:
        return (*text_reads(self.path), *text_reads(SUDOERS))

    def facts(self, outputs: Sequence[Output]) -> SudoersFacts:
        main = text_file(self.host, SUDOERS, outputs[2:])
        included = None if main.text is None else bool(_INCLUDES.search(main.text))
        return SudoersFacts(text_file(self.host, self.path, outputs[:2]), included)

    def plan(self, facts: SudoersFacts) -> Change | None:
        if facts.included is False:
            raise Refused(
                f"{SUDOERS} on {self.host} does not read /etc/sudoers.d. Add the line `@includedir /etc/sudoers.d` "
                "to its end with visudo first."
            )
        before = editable(self.host, self.path, facts.file)
        text, entry = sudoers_text(self.account), facts.file.entry
        if entry and before == text and (entry.uid, entry.gid, entry.mode) == (0, 0, "0440"):
            return None
        return Change(f"let {self.account} become root without a password", self._actions(text, before))

    def _actions(self, text: str, before: str | None) -> tuple[Action, ...]:
        trial = f"{self.path}.new"  # sudo(8) passes over names with a dot
        write = WriteFile(trial, text, mode="0440")
        check = Command(("visudo", "-cf", trial))
        activate = Command(("mv", "-fT", "--", trial, self.path))
        tried = (Action(write, write.undo, scratch=True), Action(check, write.undo, scratch=True))
        if before is None:
            return (*tried, Action(activate, Command(("rm", "-f", "--", self.path))))
        backup = f"{self.path}.cloudstore~"
        keep = Command(("cp", "-pT", "--", self.path, backup))
        return (
            *tried,
            Action(keep, Command(("rm", "-f", "--", backup))),
            Action(activate, Command(("mv", "-fT", "--", backup, self.path))),
        )

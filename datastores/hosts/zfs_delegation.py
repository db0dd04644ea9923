"""What an unprivileged account may do with data sets by hand (zfs-allow(8)).

On Linux the permissions do not suffice for all: only root mounts and unmounts. ``zfs clone`` and ``zfs create`` of such
an account make the data set and then say "filesystem successfully created, but it may only be mounted by root"; a
mounted one it cannot destroy ("cannot unmount: permission denied"). Cloudstore itself logs in as root or uses sudo.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.values import account_name
from datastores.domain.zfs import DELEGATED, dataset_name
from datastores.hosts.parsing import expect

_SECTION = re.compile(r"---- Permissions on (\S+) -+\Z")
NOTE = "Only root mounts on Linux: a data set that this account makes is mounted by root, such as with sudo zfs mount."


@dataclass(frozen=True, slots=True)
class DelegationFacts:
    """``account``: whether there is such an account. ``granted``: what it may do on this data set and those below."""

    account: bool
    granted: frozenset[str]


@dataclass(frozen=True, slots=True)
class PermissionsDelegated:
    """The account may do what clones by hand need, on the data set and all below."""

    host: str
    dataset: str
    account: str
    permissions: tuple[str, ...] = DELEGATED

    def __post_init__(self) -> None:
        dataset_name(self.dataset)
        account_name(self.account)

    @property
    def title(self) -> str:
        return f"{self.account} may {', '.join(self.permissions)} on {self.dataset}"

    def reads(self) -> tuple[Command, ...]:
        return read("id", "-u", "--", self.account), read("zfs", "allow", self.dataset, root=True)

    def facts(self, outputs: Sequence[Output]) -> DelegationFacts:
        who, allow = self.reads()
        known, said = outputs
        absent = known.exit_status == 1 and "no such user" in known.stderr
        if not known.ok and not absent:
            raise CommandFailed(who.argv, known.exit_status, known.stderr, self.host)
        if "dataset does not exist" in said.stderr:
            return DelegationFacts(not absent, frozenset())
        return DelegationFacts(not absent, granted(expect(self.host, allow, said), self.dataset, self.account))

    def plan(self, facts: DelegationFacts) -> Change | None:
        if not facts.account:
            raise Refused(f"There is no account {self.account} on {self.host}. Make it first.")
        missing = ",".join(each for each in self.permissions if each not in facts.granted)
        if not missing:
            return None
        allow, undo = (
            Command(("zfs", verb, "-u", self.account, missing, self.dataset)) for verb in ("allow", "unallow")
        )
        return Change(f"allow {self.account} to {missing} on {self.dataset}", (Action(allow, undo),), NOTE)


def granted(text: str, dataset: str, account: str) -> frozenset[str]:
    """Return what ``zfs allow`` says that an account may do on a data set and below: there, or on one above it."""
    found: set[str] = set()
    where, whole = "", False
    for line in text.splitlines():
        if section := _SECTION.match(line):
            where, whole = section[1], False
        elif not line.startswith("\t"):
            whole = line.startswith("Local+Descendent permissions")
        elif whole and dataset in {where, *_below(where, dataset)}:
            kind, _, rest = line.strip().partition(" ")
            name, _, permissions = rest.partition(" ")
            if (kind, name) == ("user", account):
                found |= set(permissions.split(","))
    return frozenset(found)


def _below(where: str, dataset: str) -> tuple[str, ...]:
    return (dataset,) if dataset.startswith(f"{where}/") else ()

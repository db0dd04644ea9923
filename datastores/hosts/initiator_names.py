"""Interfaces of open-iscsi, by which a host logs in under a name that it is given for that."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.iscsi import iqn
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.parsing import expect

INTERFACES = ("iscsiadm", "-m", "iface")
UNSET = "<empty>"


def interface_of(name: str) -> str:
    """Return the interface by which a host logs in as ``name``: one for each, for others may know it by other names."""
    return f"cloudstore-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def interface_name(value: str) -> str:
    """Return the name of a way out of a host, by which it logs in; "" for iscsiadm's default."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}|", value):
        raise BadInput(f"{value[:40]!r} is no name of an interface of open-iscsi: small letters, digits and dashes.")
    return value


@dataclass(frozen=True, slots=True)
class InterfaceNamed:
    """The host has an interface of open-iscsi by which it says ``name`` of itself, for targets that go by names."""

    host: str
    interface: str
    name: str

    def __post_init__(self) -> None:
        interface_name(self.interface)
        iqn(self.name, "The name of the initiator")
        if not self.interface:
            raise BadInput("The default interface says what /etc/iscsi/initiatorname.iscsi says.")

    @property
    def title(self) -> str:
        return f"{self.host} logs in as {self.name} by {self.interface}"

    def _iface(self, *words: str) -> Command:
        return Command(("iscsiadm", "-m", "iface", "-I", self.interface, *words))

    def reads(self) -> tuple[Command, ...]:
        return (read(*INTERFACES, root=True),)

    def facts(self, outputs: Sequence[Output]) -> str | None:
        """Return the name that the interface says; "" for that of the host, None when there is no interface."""
        (command,), (output,) = self.reads(), outputs
        lines = (line.split(" ", 1) for line in expect(self.host, command, output).splitlines())
        found = {line[0]: line[1].split(",")[-1] for line in lines if len(line) > 1}
        name = found.get(self.interface)
        return "" if name == UNSET else name

    def plan(self, facts: str | None) -> Change | None:
        if facts == self.name:
            return None
        actions = []
        if facts is None:
            actions.append(Action(self._iface("-o", "new"), self._iface("-o", "delete")))
        if facts:
            raise Refused(
                f"{self.host} logs in as {facts} by {self.interface}, not as {self.name}. Somebody else uses that "
                "interface of open-iscsi; it was left as it is."
            )
        name = ("-o", "update", "-n", "iface.initiatorname", "-v")
        actions.append(Action(self._iface(*name, self.name), self._iface(*name, "")))
        return Change(self.title, tuple(actions))

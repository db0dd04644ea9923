"""Packages of Debian and its kin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output, read
from datastores.hosts.parsing import expect

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}\Z")  # Debian Policy 5.6.7
_UNKNOWN = "no packages found matching"
_NOT_INSTALLED = frozenset({"", "un", "rn", "pn", "uc", "rc", "pc"})
"""dpkg-query(1): wanted, then the state; n not installed, c only its configuration is left."""

APT = (
    "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300",
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
)  # fmt: skip
"""Waits for another apt, asks nothing, and keeps every configuration file that somebody changed."""


@dataclass(frozen=True, slots=True)
class PackageInstalled:
    """The package ``name`` is installed, in any version.

    It stays when a job is undone: others may have come to need it meanwhile, and by itself it changes nothing.
    """

    host: str
    name: str

    def __post_init__(self) -> None:
        if not _PACKAGE.match(self.name):
            raise BadInput(f"{self.name[:40]!r} is not the name of a package.")

    @property
    def title(self) -> str:
        return f"package {self.name} is installed"

    def reads(self) -> tuple[Command, ...]:
        return (read("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\\n", "--", self.name),)

    def facts(self, outputs: Sequence[Output]) -> str:
        """Return dpkg's two letters for the package, such as "ii"; "" when dpkg has never heard of it."""
        (output,), (command,) = outputs, self.reads()
        if output.exit_status == 1 and _UNKNOWN in output.stderr:
            return ""
        states = expect(self.host, command, output).split()
        if not states:
            raise CommandFailed(command.argv, output.exit_status, "it named no state", self.host)
        return states[0]

    def plan(self, facts: str) -> Change | None:
        if facts in {"ii", "hi"}:
            return None
        if facts not in _NOT_INSTALLED:
            raise Refused(
                f"The package {self.name} on {self.host} is half installed (dpkg: {facts}). "
                "Say `dpkg --configure -a` there, and try again when it has succeeded."
            )
        update = Detached(Command((*APT, "update"), timeout=600))
        install = Detached(Command((*APT, "install", "-y", "--no-install-recommends", "--", self.name), timeout=3600))
        return Change(
            f"install the package {self.name}",
            (Action(update, harmless=True), Action(install, harmless=True)),
            note="An installed package stays when the job is undone.",
        )

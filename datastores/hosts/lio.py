"""Targets of LIO, the target in the kernel, with devices behind them (targetcli-fb, saveconfig.json).

LIO is told by its library, rtslib, which targetcli is a shell for: one process does what targetcli needs many for,
tells as JSON what there is, and exits with 1 when something failed. It knows initiators by their names alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.iscsi import iqn
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.parsing import canonical_path, expect

SERVICE = "rtslib-fb-targetctl.service"
"""Brings back at boot what was saved."""
LUN = 1
SECONDS = 60.0
SHOW = """
import json, rtslib_fb
root = rtslib_fb.RTSRoot()
known = root.dump()
rules = [each["parent_nodeacl"] for each in root.sessions]
users = [(rule.parent_tpg.parent_target.wwn, rule.node_wwn) for rule in rules]
print(json.dumps({"targets": known["targets"], "disks": known["storage_objects"], "sessions": users}))
"""
SERVE = """
import sys, rtslib_fb as lio
name, device, *initiators = sys.argv[1:]
disk = lio.BlockStorageObject(name.replace(":", "_"), dev=device, write_back=True)
group = lio.TPG(lio.Target(lio.FabricModule("iscsi"), name), 1)
group.set_attribute("authentication", "0")
group.set_attribute("generate_node_acls", "0")
lun = lio.LUN(group, 1, disk)
lio.NetworkPortal(group, "0.0.0.0", 3260)
for who in initiators:
    lio.MappedLUN(lio.NodeACL(group, who), 1, lun)
group.enable = True
lio.RTSRoot().save_to_file()
"""
LET_IN = """
import sys, rtslib_fb as lio
name, verb, who = sys.argv[1:]
group = lio.TPG(lio.Target(lio.FabricModule("iscsi"), name, "lookup"), 1, "lookup")
if verb == "add":
    lio.MappedLUN(lio.NodeACL(group, who), 1, next(iter(group.luns)))
else:
    lio.NodeACL(group, who, "lookup").delete()
lio.RTSRoot().save_to_file()
"""
END = """
import sys, rtslib_fb as lio
name, = sys.argv[1:]
root = lio.RTSRoot()
if any(each["parent_nodeacl"].parent_tpg.parent_target.wwn == name for each in root.sessions):
    sys.exit(name + " is in use")
for target in root.targets:
    if target.wwn == name:
        target.delete()
for disk in root.storage_objects:
    if disk.name == name.replace(":", "_"):
        disk.delete()
root.save_to_file()
"""
ASK = read("python3", "-I", "-c", SHOW, root=True, timeout=SECONDS)


@dataclass(frozen=True, slots=True)
class LioTarget:
    """A target as LIO serves it now. ``device``: behind our LUN, "" for none. ``users``: initiators logged in."""

    name: str
    device: str = ""
    initiators: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


def targets(host: str, output: Output) -> Mapping[str, LioTarget]:
    """Return the iSCSI targets by name.

    :raises CommandFailed: rtslib is not installed, or what was said cannot be read.
    """
    try:
        told = json.loads(expect(host, ASK, output))
        devices = {f"/backstores/{disk['plugin']}/{disk['name']}": disk["dev"] for disk in told["disks"]}
        found = (each for each in told["targets"] if each["fabric"] == "iscsi")
        return {each["wwn"]: _target(each, devices, told["sessions"]) for each in found}
    except (ValueError, LookupError, TypeError) as error:
        raise CommandFailed(ASK.argv[:2], output.exit_status, f"unreadable output ({error!r})", host) from error


def _target(told: Mapping[str, Any], devices: Mapping[str, str], sessions: Sequence[Sequence[str]]) -> LioTarget:
    group: Mapping[str, Any] = next(iter(told["tpgs"]), {"luns": (), "node_acls": ()})
    device = next((devices.get(lun["storage_object"], "") for lun in group["luns"] if lun["index"] == LUN), "")
    initiators = tuple(sorted(acl["node_wwn"] for acl in group["node_acls"]))
    users = tuple(sorted({who for name, who in sessions if name == told["wwn"]}))
    return LioTarget(told["wwn"], device, initiators, users)


def _do(script: str, *words: str) -> Command:
    return Command(("python3", "-I", "-c", script, *words), timeout=SECONDS)


@dataclass(frozen=True, slots=True)
class LioTargetServed:
    """LIO serves a device as LUN 1 of ``name`` to the initiators of these names alone, after a restart, too."""

    host: str
    name: str
    device: str
    initiators: tuple[str, ...]

    def __post_init__(self) -> None:
        iqn(self.name)
        canonical_path(self.device)
        if not self.device.startswith("/dev/"):
            raise BadInput(f"{self.device} is no device: files are served by tgt.")
        if not self.initiators:
            raise BadInput(f"{self.name} is for nobody. Name at least one initiator.")
        for who in self.initiators:
            iqn(who, "The name of the initiator")

    @property
    def title(self) -> str:
        return f"{self.device} is served as {self.name} to {', '.join(self.initiators)}"

    def reads(self) -> tuple[Command, ...]:
        return (ASK,)

    def facts(self, outputs: Sequence[Output]) -> LioTarget | None:
        return targets(self.host, outputs[0]).get(self.name)

    def plan(self, facts: LioTarget | None) -> Change | None:
        if facts is None:
            make = Action(_do(SERVE, self.name, self.device, *self.initiators), _do(END, self.name), scratch=True)
            return Change(f"serve {self.device} as {self.name}", (make,))
        if facts.device != self.device:
            raise Refused(
                f"{self.name} on {self.host} serves {facts.device or 'nothing'}, not {self.device}. See what it is "
                f"for, and remove it with `targetcli /iscsi delete {self.name}` when nobody needs it."
            )
        new = [("add", "remove", who) for who in self.initiators if who not in facts.initiators]
        old = [("remove", "add", who) for who in facts.initiators if who not in self.initiators]
        actions = tuple(
            Action(_do(LET_IN, self.name, do, who), _do(LET_IN, self.name, back, who)) for do, back, who in (*new, *old)
        )
        return Change(f"let others use {self.name}", actions) if actions else None


@dataclass(frozen=True, slots=True)
class LioTargetGone:
    """LIO serves no ``name``, and will not after a restart. It is never taken from under somebody who is logged in.

    ``leaving``: the names of initiators that steps before this one log out; should one of them be logged in all the
    same, the command fails.
    """

    host: str
    name: str
    leaving: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        iqn(self.name)

    @property
    def title(self) -> str:
        return f"{self.name} is not served"

    def reads(self) -> tuple[Command, ...]:
        return (ASK,)

    def facts(self, outputs: Sequence[Output]) -> LioTarget | None:
        return targets(self.host, outputs[0]).get(self.name)

    def plan(self, facts: LioTarget | None) -> Change | None:
        if facts is None:
            return None
        if set(facts.users) - set(self.leaving):
            raise Refused(
                f"{self.name} on {self.host} is in use by {', '.join(facts.users)}. Shut that machine down, and see it "
                "logged out, first."
            )
        again = _do(SERVE, self.name, facts.device, *facts.initiators) if facts.device else None
        return Change(f"serve {self.name} no more", (Action(_do(END, self.name), again),))

"""Targets of LIO, the target in the kernel, with devices behind them (targetcli-fb, saveconfig.json).

LIO is told by its library, rtslib, which targetcli is a shell for: one process does what targetcli needs many for,
tells as JSON what there is, and exits with 1 when something failed. It knows initiators by their names alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.iscsi import Account, iqn
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.parsing import canonical_path, expect

SERVICE = "rtslib-fb-targetctl.service"
"""Brings back at boot what was saved."""
LUN = 1
SECONDS, ASK_SECONDS = 120.0, 60.0
PLACE = "/run/cloudstore-lio.lock"
LOCK, SHARED = ("flock", "-w", "100", PLACE), ("flock", "-s", "-w", "50", PLACE)
"""Two that change or save what LIO serves at once would save half of what the other does. Each takes a second, several
on a slow host, so that the last of many that begin together waits for long."""
EVERYWHERE = "0.0.0.0"  # noqa: S104 - said of targets that were made so
SHOW = """
import json, rtslib_fb
root = rtslib_fb.RTSRoot()
known = root.dump()
groups = [group for target in known["targets"] for group in target["tpgs"]]
for each in groups + [acl for group in groups for acl in group.get("node_acls", ())]:
    for secret in "chap_password", "chap_mutual_password":
        each.pop(secret, None)
rules = [each["parent_nodeacl"] for each in root.sessions]
users = [(rule.parent_tpg.parent_target.wwn, rule.node_wwn) for rule in rules]
print(json.dumps({"targets": known["targets"], "disks": known["storage_objects"], "sessions": users}))
"""
SERVE = """
import sys, rtslib_fb as lio
name, device, portal, account, file, *initiators = sys.argv[1:]
secret = open(file).read() if account else ""
disk = lio.BlockStorageObject(name.replace(":", "_"), dev=device, write_back=True)
group = lio.TPG(lio.Target(lio.FabricModule("iscsi"), name), 1)
group.set_attribute("authentication", "1" if account else "0")
group.set_attribute("generate_node_acls", "0")
lun = lio.LUN(group, 1, disk)
lio.NetworkPortal(group, portal, 3260)
for who in initiators:
    rule = lio.NodeACL(group, who)
    if account:
        rule.chap_userid, rule.chap_password = account, secret
    lio.MappedLUN(rule, 1, lun)
group.enable = True
lio.RTSRoot().save_to_file()
"""
LET_IN = """
import sys, rtslib_fb as lio
name, verb, who, account, file = sys.argv[1:]
secret = open(file).read() if account else ""
group = lio.TPG(lio.Target(lio.FabricModule("iscsi"), name, "lookup"), 1, "lookup")
if verb == "add":
    rule = lio.NodeACL(group, who)
    if account:
        rule.chap_userid, rule.chap_password = account, secret
    lio.MappedLUN(rule, 1, next(iter(group.luns)))
else:
    lio.NodeACL(group, who, "lookup").delete()
lio.RTSRoot().save_to_file()
"""
WANT = """
import sys, rtslib_fb as lio
name, account, file = sys.argv[1:]
secret = open(file).read() if account else ""
group = lio.TPG(lio.Target(lio.FabricModule("iscsi"), name, "lookup"), 1, "lookup")
for rule in group.node_acls:
    rule.chap_userid, rule.chap_password = account, secret
group.set_attribute("authentication", "1" if account else "0")
lio.RTSRoot().save_to_file()
"""
LISTEN = """
import sys, rtslib_fb as lio
name, portal = sys.argv[1:]
group = lio.TPG(lio.Target(lio.FabricModule("iscsi"), name, "lookup"), 1, "lookup")
for other in group.network_portals:
    other.delete()
lio.NetworkPortal(group, portal, 3260)
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
ASK = read(*SHARED, "python3", "-I", "-c", SHOW, root=True, timeout=ASK_SECONDS)


@dataclass(frozen=True, slots=True)
class LioTarget:
    """A target as LIO serves it now. ``device``: behind our LUN, "" for none. ``users``: initiators logged in.

    ``portals``: addresses at which it listens. ``accounts``: those that initiators have to log in as; "" for none.
    """

    name: str
    device: str = ""
    initiators: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    portals: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()


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
    group: Mapping[str, Any] = next(iter(told["tpgs"]), {"luns": (), "node_acls": (), "portals": ()})
    device = next((devices.get(lun["storage_object"], "") for lun in group["luns"] if lun["index"] == LUN), "")
    initiators = tuple(sorted(acl["node_wwn"] for acl in group["node_acls"]))
    users = tuple(sorted({who for name, who in sessions if name == told["wwn"]}))
    portals = tuple(sorted(portal["ip_address"] for portal in group["portals"]))
    proven = group.get("attributes", {}).get("authentication") == 1
    accounts = {acl.get("chap_userid", "") if proven else "" for acl in group["node_acls"]}
    return LioTarget(told["wwn"], device, initiators, users, portals, tuple(sorted(accounts)))


def _do(script: str, *words: str) -> Command:
    return Command((*LOCK, "python3", "-I", "-c", script, *words), timeout=SECONDS)


def _words(account: Account | None) -> tuple[str, str]:
    """Return how scripts are told an account: by the file with its secret."""
    return (account.name, account.file) if account else ("", "")


@dataclass(frozen=True, slots=True)
class OfLioTarget:
    """What is said of one target of a host, and how that is read."""

    host: str
    name: str

    def __post_init__(self) -> None:
        iqn(self.name)

    def reads(self) -> tuple[Command, ...]:
        return (ASK,)

    def facts(self, outputs: Sequence[Output]) -> LioTarget | None:
        return targets(self.host, outputs[0]).get(self.name)


@dataclass(frozen=True, slots=True)
class LioTargetServed(OfLioTarget):
    """LIO serves a device as LUN 1 of ``name`` to the initiators of these names alone, after a restart, too.

    ``account``: they have to prove that they know its secret (CHAP). ``portal``: the IP address at which it listens; it
    is not changed under somebody who is logged in.
    """

    device: str
    initiators: tuple[str, ...]
    account: Account | None = None
    portal: str = EVERYWHERE

    def __post_init__(self) -> None:
        OfLioTarget.__post_init__(self)
        ip_address(self.portal)
        canonical_path(self.device)
        if not self.device.startswith("/dev/"):
            raise BadInput(f"{self.device} is no device: files are served by tgt.")
        if not self.initiators:
            raise BadInput(f"{self.name} is for nobody. Name at least one initiator.")
        for who in self.initiators:
            iqn(who, "The name of the initiator")

    @property
    def _listening(self) -> str:
        """The portal as rtslib names it."""
        return f"[{self.portal}]" if ":" in self.portal else self.portal

    @property
    def title(self) -> str:
        proven = f", who know the secret of {self.account.name}" if self.account else ""
        return f"{self.device} is served as {self.name} to {', '.join(self.initiators)}{proven}"

    def plan(self, facts: LioTarget | None) -> Change | None:
        if facts is None:
            words = self.name, self.device, self._listening, *_words(self.account), *self.initiators
            make = Action(_do(SERVE, *words), _do(END, self.name), scratch=True)
            return Change(f"serve {self.device} as {self.name}", (make,))
        if facts.device != self.device:
            raise Refused(
                f"{self.name} on {self.host} serves {facts.device or 'nothing'}, not {self.device}. See what it is "
                f"for, and remove it with `targetcli /iscsi delete {self.name}` when nobody needs it."
            )
        actions = *self._listens(facts), *self._wants(facts), *self._lets_in(facts)
        return Change(f"let others use {self.name}", actions) if actions else None

    def _listens(self, there: LioTarget) -> tuple[Action, ...]:
        if there.users or there.portals == (self._listening,):
            return ()
        back = _do(LISTEN, self.name, there.portals[0]) if len(there.portals) == 1 else None
        return (Action(_do(LISTEN, self.name, self._listening), back),)

    def _wants(self, there: LioTarget) -> tuple[Action, ...]:
        """What others were let in with is not known, so that has no way back; without an account, nothing was."""
        name = self.account.name if self.account else ""
        if set(there.accounts) <= {name}:
            return ()
        back = _do(WANT, self.name, "", "") if there.accounts == ("",) else None
        return (Action(_do(WANT, self.name, *_words(self.account)), back),)

    def _lets_in(self, there: LioTarget) -> tuple[Action, ...]:
        new = [("add", "remove", who) for who in self.initiators if who not in there.initiators]
        old = [("remove", "add", who) for who in there.initiators if who not in self.initiators]
        return tuple(Action(self._let(do, who), self._let(back, who)) for do, back, who in (*new, *old))

    def _let(self, verb: str, who: str) -> Command:
        return _do(LET_IN, self.name, verb, who, *_words(self.account))


@dataclass(frozen=True, slots=True)
class LioTargetGone(OfLioTarget):
    """LIO serves no ``name``, and will not after a restart. It is never taken from under somebody who is logged in.

    ``leaving``: the names of initiators that steps before this one log out; should one of them be logged in all the
    same, the command fails. ``account``: as which initiators log in, for the way back.
    """

    leaving: tuple[str, ...] = ()
    account: Account | None = None

    @property
    def title(self) -> str:
        return f"{self.name} is not served"

    def plan(self, facts: LioTarget | None) -> Change | None:
        if facts is None:
            return None
        if set(facts.users) - set(self.leaving):
            raise Refused(
                f"{self.name} on {self.host} is in use by {', '.join(facts.users)}. Shut that machine down, and see it "
                "logged out, first."
            )
        return Change(f"serve {self.name} no more", (Action(_do(END, self.name), self._again(facts)),))

    def _again(self, there: LioTarget) -> Command | None:
        """Return the way back, where it is known all of it: one portal, and no other account than ours."""
        name = self.account.name if self.account else ""
        if not there.device or len(there.portals) != 1 or not set(there.accounts) <= {name, ""}:
            return None
        account = self.account if there.accounts == (name,) else None
        return _do(SERVE, self.name, there.device, there.portals[0], *_words(account), *there.initiators)

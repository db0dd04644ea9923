"""Limits for directories of GlusterFS volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.gluster import volume_directory, volume_name
from datastores.domain.plan import Action, Change, Command, Output
from datastores.domain.values import format_size
from datastores.hosts.files import Entries
from datastores.hosts.gluster import SECONDS, ask, heard, inner, number, tell
from datastores.hosts.gluster_volumes import OfVolume, Volumes
from datastores.hosts.parsing import canonical_path, entries, entries_read


@dataclass(frozen=True, slots=True)
class Limit:
    """What a directory of the volume may hold, and does hold. Bytes; ``soft``: from there on it is logged."""

    path: str
    hard: int
    soft: int
    used: int


Limits = dict[str, Limit]
DISABLE = """
said=$(gluster --mode=script --xml volume quota "$1" list)
case $said in
*"<limit>"*) exit 0 ;;
*"No quota configured"*|*"<opRet>0<"*) exec gluster --mode=script volume quota "$1" disable ;;
*"Quota is disabled"*|*"Quota is not enabled"*) exit 0 ;;
esac
echo "it cannot be told which limits there are: $said" >&2
exit 1
"""
"""Count no more, unless a directory has got a limit meanwhile: gluster would forget that, too."""


def ask_limits(name: str) -> Command:
    return ask("quota", name, "list")


def limits(host: str, command: Command, output: Output) -> Limits:
    """Return the limits by path, perhaps none. Raises CommandFailed when they cannot be told."""
    answer = heard(host, command, output)
    if answer.why:
        if answer.why.startswith(("No quota configured", "Quota is disabled")) or answer.why.endswith("does not exist"):
            return {}
        raise CommandFailed(command.argv, output.exit_status, answer.why, host)
    found = (
        Limit(inner(each, "path"), *(number(each, name) for name in ("hard_limit", "soft_limit_value", "used_space")))
        for each in answer.tree.iter("limit")
    )
    return {limit.path: limit for limit in found}


@dataclass(frozen=True, slots=True)
class QuotaEnabled(OfVolume):
    """The volume counts what its directories hold. From then on each write costs a little more."""

    @property
    def title(self) -> str:
        return f"{self.name} keeps limits of directories"

    def plan(self, facts: Volumes) -> Change | None:
        """A volume that is not there yet gets the same plan: an earlier step may make it."""
        if self.name in facts and facts[self.name].options.get("features.quota") == "on":
            return None
        enable = tell("volume", "quota", self.name, "enable")
        disable = Command(("sh", "-c", DISABLE, "sh", self.name), timeout=2 * SECONDS)
        return Change(f"count what is in the directories of {self.name}", (Action(enable, disable),))


@dataclass(frozen=True, slots=True)
class QuotaLimitSet:
    """The directory ``path`` of the volume ("/" is all of it) holds at most ``size`` bytes."""

    host: str
    name: str
    path: str
    size: int

    def __post_init__(self) -> None:
        volume_name(self.name)
        volume_directory(self.path)
        if self.size < 1 << 20:
            raise BadInput("A limit of less than 1 MiB is none that can be kept.")

    @property
    def title(self) -> str:
        return f"{self.path} in {self.name} holds at most {format_size(self.size)}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_limits(self.name),)

    def facts(self, outputs: Sequence[Output]) -> Limits:
        return limits(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Limits) -> Change | None:
        before = facts.get(self.path)
        if before is not None and before.hard == self.size:
            return None
        words = ("volume", "quota", self.name)
        undo = tell(*words, "remove", self.path)
        if before is not None:
            undo = tell(*words, "limit-usage", self.path, str(before.hard))
        limit = Action(tell(*words, "limit-usage", self.path, str(self.size)), undo)
        old = format_size(before.hard) if before else "no limit"
        return Change(f"{self.path}: {old} becomes {format_size(self.size)}", (limit,))


@dataclass(frozen=True, slots=True)
class QuotaLimitAbsent:
    """The directory ``path`` of the volume has no limit of its own; one of a directory above it counts as before."""

    host: str
    name: str
    path: str

    def __post_init__(self) -> None:
        volume_name(self.name)
        volume_directory(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} in {self.name} has no limit"

    def reads(self) -> tuple[Command, ...]:
        return (ask_limits(self.name),)

    def facts(self, outputs: Sequence[Output]) -> Limits:
        return limits(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Limits) -> Change | None:
        before = facts.get(self.path)
        if before is None:
            return None
        words = ("volume", "quota", self.name)
        undo = tell(*words, "limit-usage", self.path, str(before.hard))
        lift = Action(tell(*words, "remove", self.path), undo)
        return Change(f"{self.path}: {format_size(before.hard)} becomes no limit", (lift,))


@dataclass(frozen=True, slots=True)
class DirectoryThere:
    """``path`` is a directory: a check, since gluster says only that it misses an attribute when it limits none."""

    host: str
    path: str

    def __post_init__(self) -> None:
        canonical_path(self.path, "The directory")

    @property
    def title(self) -> str:
        return f"{self.path} is a directory"

    def reads(self) -> tuple[Command, ...]:
        return (entries_read(self.path),)

    def facts(self, outputs: Sequence[Output]) -> Entries:
        return entries(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Entries) -> Change | None:
        there = facts.get(self.path)
        if there is None:
            raise Refused(f"There is no directory {self.path} on {self.host}. Make it first.")
        if not there.is_directory:
            raise Refused(f"{self.path} on {self.host} is {there}, not a directory.")
        return None

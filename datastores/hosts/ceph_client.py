"""Whether a host can use a Ceph cluster: checks of what the files in ceph_files lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datastores.domain import ceph as words
from datastores.domain.ceph import Access
from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts import qemu_img
from datastores.hosts.ceph import DEADLINE, answered, ask
from datastores.hosts.parsing import entries, entries_read

FULL = frozenset({"OSD_FULL", "POOL_FULL"})
"""Checks after which nothing can be written any more, though the cluster may only warn."""
NOT_INSTALLED = 127


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """``ready``: the host has the files that it needs to ask. ``checks``: name, severity and what Ceph says."""

    ready: bool
    fsid: str = ""
    health: str = ""
    checks: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterUsable:
    """The cluster answers this account, is the expected one (``fsid``; "" for any), and can be written to.

    A check, which changes nothing. It waits for the files that make the host a client. Warnings are no obstacle:
    a cluster that mends itself warns.
    """

    host: str
    access: Access
    fsid: str = ""

    def __post_init__(self) -> None:
        if self.fsid:
            words.cluster_id(self.fsid)

    @property
    def title(self) -> str:
        return f"the cluster answers {self.access.entity}, and can be written to"

    def reads(self) -> tuple[Command, ...]:
        return client_reads(self.access, ask(self.access, "status"))

    def facts(self, outputs: Sequence[Output]) -> ClusterFacts:
        if not is_client(self.host, self.access, outputs):
            return ClusterFacts(ready=False)
        return answered(self.host, self.reads()[1], outputs[1], _status)

    def plan(self, facts: ClusterFacts) -> Change | None:
        if not facts.ready:
            return Change("ask the cluster when the host is its client", ())
        if self.fsid and facts.fsid != self.fsid:
            raise Refused(f"{self.access.conf} on {self.host} leads to the cluster {facts.fsid}, not to {self.fsid}.")
        bad = [f"{name}: {said}" for name, severity, said in facts.checks if severity == "HEALTH_ERR" or name in FULL]
        if bad or facts.health == "HEALTH_ERR":
            raise Refused(
                f"The cluster {facts.fsid} is {facts.health}, as {self.host} hears: {'; '.join(bad) or 'no reason'}. "
                "Nothing is stored in it until that is put right; `ceph health detail` tells more."
            )
        return None


def client_reads(access: Access, command: Command) -> tuple[Command, ...]:
    """Return a read that only a client of the cluster can make, after the one that tells whether it is a client."""
    return entries_read(access.conf, access.keyring), command


def is_client(host: str, access: Access, outputs: Sequence[Output]) -> bool:
    """Tell whether configuration, keyring and tool are there: what was asked with them means something only then."""
    there = entries(host, entries_read(access.conf, access.keyring), outputs[0])
    return len(there) == 2 and outputs[1].exit_status != NOT_INSTALLED


def _status(said: Mapping[str, Any]) -> ClusterFacts:
    health = said["health"]
    checks = ((name, check["severity"], check["summary"]["message"]) for name, check in health["checks"].items())
    return ClusterFacts(ready=True, fsid=said["fsid"], health=health["status"], checks=tuple(checks))


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """``applications``: None when there is no such pool."""

    ready: bool
    applications: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PoolReady:
    """The pool is there, and is meant for images of RBD.

    ``create``: a missing one is made, by client.admin, whose keyring has to be on the host. It stays when the job is
    undone: nothing removes a pool, in which somebody may have stored something by then.
    """

    host: str
    access: Access
    pool: str
    create: bool = False

    def __post_init__(self) -> None:
        words.pool_name(self.pool)

    @property
    def title(self) -> str:
        return f"the pool {self.pool} is there, for images"

    @property
    def _admin(self) -> Access:
        return Access(self.access.cluster, "admin")

    def reads(self) -> tuple[Command, ...]:
        return client_reads(self.access, ask(self.access, "osd", "pool", "ls", "detail"))

    def facts(self, outputs: Sequence[Output]) -> PoolFacts:
        if not is_client(self.host, self.access, outputs):
            return PoolFacts(ready=False)
        pools = answered(
            self.host, self.reads()[1], outputs[1],
            lambda said: {each["pool_name"]: tuple(each["application_metadata"]) for each in said},
        )  # fmt: skip
        return PoolFacts(True, pools.get(self.pool))

    def plan(self, facts: PoolFacts) -> Change | None:
        if not facts.ready and not self.create:
            return Change(f"look for the pool {self.pool} when the host is a client of the cluster", ())
        if facts.applications is not None and "rbd" in facts.applications:
            return None
        if facts.applications:
            raise Refused(f"The pool {self.pool} is used by {', '.join(facts.applications)}, not by rbd.")
        if not self.create:
            missing = "is not there" if facts.applications is None else "is for no application yet"
            raise Refused(
                f"The pool {self.pool} {missing}. Make it ready with `ceph osd pool create {self.pool}` and "
                f"`rbd pool init {self.pool}`, or have cloudstore do that."
            )
        pool = (("osd", "pool", "create", self.pool), ("osd", "pool", "set", self.pool, "pg_autoscale_mode", "on"))
        init = Command(self._admin.rbd("pool", "init", self.pool))
        made = [Command(self._admin.ceph(*each)) for each in pool if facts.applications is None]
        return Change(f"make the pool {self.pool} ready", tuple(Action(each) for each in (*made, init)))


@dataclass(frozen=True, slots=True)
class QemuOpensRbd:
    """QEMU's driver for RBD is there and reaches the pool, so VMs on this host can have disks in it. A check.

    It asks for an image that there is not: whatever comes before that answer is in the way.
    """

    host: str
    access: Access
    pool: str

    @property
    def title(self) -> str:
        return f"QEMU opens images in the pool {self.pool}"

    def reads(self) -> tuple[Command, ...]:
        image = words.RbdImage(self.access, self.pool, "cloudstore-none")
        return client_reads(self.access, qemu_img.ask_whether_opens(image.qemu, "raw", DEADLINE))

    def facts(self, outputs: Sequence[Output]) -> str | None:
        """Return what is in the way, "" for nothing; None: the host is no client yet."""
        if not is_client(self.host, self.access, outputs):
            return None
        said = outputs[1].stderr.strip()
        if outputs[1].ok or said.endswith("cloudstore-none: No such file or directory"):
            return ""
        if outputs[1].exit_status != 1:
            raise CommandFailed(self.reads()[1].argv, outputs[1].exit_status, said, self.host)
        return said.rpartition("': ")[2]

    def plan(self, facts: str | None) -> Change | None:
        if facts is None:
            return Change("let QEMU open an image when the host is a client of the cluster", ())
        if facts.startswith("Unknown protocol"):
            raise Refused(f"QEMU on {self.host} has no driver for RBD. Install qemu-block-extra there.")
        if facts:
            raise Refused(f"QEMU on {self.host} does not reach the pool {self.pool}: {facts}.")
        return None

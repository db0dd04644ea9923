"""Directories of a host that move onto a datastore and leave a link: the VM directory of a cloud, for one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import AnyStep, Plan, Stage
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.open_files import DirectoryAtRest
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.services import ServiceStarted, ServiceStopped, unit_name
from datastores.hosts.tree_links import DirectoryBack, DirectoryLinked
from datastores.hosts.trees import TreeCopied, TreeGone
from datastores.hosts.trials import TrialsSwept
from datastores.models import Datastore, Host, Job, MovedDirectory, User
from datastores.services import leases
from datastores.services.measurements import place_on
from datastores.services.placing import driver_of, hosts_of, require_ready
from datastores.services.usecase import Results, UseCase

BEFORE, ANEW = ".cloudstore-before", ".cloudstore-new"
"""What is added to the path for the directory that was there, and for the one that is made on the way back."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,60}\Z")
_VITAL = re.compile(
    r"(sshd?|dbus|dbus-broker|polkit|networking|NetworkManager|wpa_supplicant|cloudstore|systemd|user|session|init|ifup)\b"
    r"|.*\.(slice|scope|target)\Z"
)
NOT_BELOW = ("/etc", "/usr", "/boot", "/proc", "/sys", "/dev", "/run", "/bin", "/sbin", "/lib", "/root", "/tmp")  # noqa: S108
SYSTEMS = frozenset({"/", "/var", "/var/lib", "/var/log", "/var/cache", "/home", "/opt", "/srv", "/var/lib/dpkg",
                     "/var/lib/apt", "/var/lib/systemd", "/var/lib/cloudstore"})  # fmt: skip


def movable_path(value: str) -> str:
    """Return the path of a directory that may move.

    :raises BadInput: the host needs it where it is.
    """
    path = values.absolute_path(value, "The directory")
    if path in SYSTEMS or any(values.is_below(path, directory) for directory in NOT_BELOW):
        raise BadInput(f"{path} belongs to the system, and stays. Choose a directory such as /var/lib/one.")
    return path


def place_name(value: str) -> str:
    """Return what the directory is called in the datastore: nothing that an image or the disks of a VM are called."""
    if not _NAME.match(value):
        raise BadInput("The name in the datastore begins with a small letter, and has letters, digits, _ and - alone.")
    return value


def unit_names(lines: Iterable[str]) -> list[str]:
    """Return the units, each once; a name without a suffix is that of a service.

    :raises BadInput: one is none, or the host would not be reached any more while it is stopped.
    """
    words = [line.strip() for line in lines if line.strip()]
    units = list(dict.fromkeys(unit_name(word if "." in word else f"{word}.service") for word in words))
    if vital := next(filter(_VITAL.match, units), ""):
        raise BadInput(f"{vital} is not stopped: the host is reached by it, or its system stands on it.")
    return units


class DirectoryJob(UseCase):
    """What the jobs about moved directories have in common."""

    queue = "transfer"
    needs_approval = True
    roles = frozenset({User.Role.ADMIN})
    targets: ClassVar[tuple[str, ...]] = ("host", "datastore")

    def again(self, job: Job) -> None:
        self.check_still(job)

    def resources(self, job: Job) -> dict[str, bool]:
        about = {f"directories of host:{job.host_id}": True, f"directories of datastore:{job.datastore_id}": True}
        used = {f"host:{job.host_id}": False, f"datastore:{job.datastore_id}": False}
        return about | used | leases.uses_hosts(job.datastore_id)

    def require_host(self, job: Job) -> None:
        host = Host.objects.filter(pk=job.host_id).first()
        if host is None or not host.usable:
            raise Refused(f"{host or 'The host'} is {host.state if host else 'gone'}, so nothing was changed.")

    def row(self, job: Job) -> MovedDirectory:
        """Return the directory that the job is about. Raises Refused when it is known no more."""
        found = MovedDirectory.objects.filter(pk=job.params["directory"]).first()
        if found is None:
            raise Refused("That directory is not known any more.")
        return found

    def switched(self, job: Job, in_use: str, ready: AnyStep, switch: AnyStep) -> Plan:
        """Return the stages: services stopped, a copy made while nothing is open, the switch, services started.

        ``in_use``: where files may be open now; of a link, what it leads to. ``ready``: what is switched to is there.
        """
        host, units = job.host.name, tuple(job.params["services"])
        rest = DirectoryAtRest(host, in_use, units)
        stages = (
            Stage("tools", (PackageInstalled(host, "rsync"),)),
            Stage("stop services", tuple(ServiceStopped(host, unit) for unit in units)),
            Stage("copy", (*self.guard(job), rest, ready)),
            Stage("switch", (rest, switch)),
            Stage("start services", tuple(ServiceStarted(host, unit) for unit in reversed(units))),
            Stage("clean up", (TrialsSwept(host, place_on(driver_of(job.datastore), host), job.uuid.hex),)),
        )
        return tuple(stage for stage in stages if stage.steps)

    def guard(self, job: Job) -> tuple[AnyStep, ...]:
        driver, host = driver_of(job.datastore), job.host.name
        return driver.guard(host) or (BaseReady(host, place_on(driver, host)),)


class DirectoryMove(DirectoryJob):
    """Move a directory of a host onto a datastore, and leave a link.

    params: path, name (in the datastore), services (units that are stopped meanwhile), join (another host has moved its
    own there already: nothing is copied, and both share it from then on).
    """

    kind = "directory.move"
    label = "Move directory"
    can_undo = True

    def ask(self, job: Job) -> None:
        job.params |= {"path": movable_path(job.params["path"]), "name": place_name(job.params["name"]),
                       "services": unit_names(job.params.get("services") or [])}  # fmt: skip
        self.check_still(job)
        job.title = f"Move {job.params['path']} on {job.host.name} onto {job.datastore.name}"[:300]
        job.target_label = job.host.name

    def check_still(self, job: Job) -> None:
        self.require_host(job)
        datastore = Datastore.objects.filter(pk=job.datastore_id).first()
        if datastore is None:
            raise Refused("The datastore is gone.")
        require_ready(datastore)
        place_on(driver_of(datastore), job.host.name)
        path = job.params["path"]
        for other in Datastore.objects.filter(hosts=job.host_id):
            if values.is_below(path, other.base) or values.is_below(other.base, path):
                raise Refused(f"{path} overlaps {other.base} of the datastore {other.name}.")
        if moved := MovedDirectory.objects.filter(host=job.host_id, path=path).first():
            where = f"lies on {moved.datastore.name}" if moved.moved else f"left {moved.kept}, which is still there"
            raise Refused(f"{moved} {where} already.")
        there = MovedDirectory.objects.filter(datastore=datastore, target=self.target(job), moved=True).first()
        if job.params.get("join") and not there:
            raise Refused(f"No host has moved a directory to {self.target(job)} yet, so there is none to share.")
        if there and not job.params.get("join"):
            raise Refused(f"{there} is there already. Choose another name, or share that directory.")

    def target(self, job: Job) -> str:
        driver = driver_of(job.datastore)
        return f"{place_on(driver, job.host.name)}/{job.params['name']}"

    def plan(self, job: Job) -> Plan:
        path, target, host = job.params["path"], self.target(job), job.host.name
        if job.params.get("join"):
            linked = DirectoryLinked(host, path, target, path + BEFORE)
            return self.switched(job, path, BaseReady(host, target), linked)
        copied = TreeCopied(host, path, target, path, job.uuid.hex, self.network(job))
        return self.switched(job, path, copied, DirectoryLinked(host, path, target, path + BEFORE, copied.outcome))

    def network(self, job: Job) -> bool:
        """Whether the host has the datastore over the network: it is mounted there, and the bytes are elsewhere."""
        driver, host = driver_of(job.datastore), job.host.name
        return host != hosts_of(job.datastore)[0].name and bool(driver.writable(host))

    def succeeded(self, job: Job, results: Results) -> None:
        MovedDirectory.objects.create(
            host=job.host, datastore=job.datastore, path=job.params["path"], target=self.target(job),
            kept=job.params["path"] + BEFORE, services=job.params["services"],
        )  # fmt: skip

    def check_undo(self, job: Job) -> None:
        found = MovedDirectory.objects.filter(host=job.host_id, path=job.params["path"], moved=True).first()
        if found is None or not found.kept:
            raise Refused(
                "What was there before was deleted since, or it was brought back already. Bring it back instead."
            )

    def undone(self, job: Job) -> None:
        """The old directory is in its place; what was written since is in the copy, which is left to be deleted."""
        rows = MovedDirectory.objects.filter(host=job.host_id, path=job.params["path"], moved=True)
        rows.update(moved=False, kept="")


class DirectoryReturn(DirectoryJob):
    """Bring a moved directory back to its host: copied from the datastore, as it is now. params: directory (id)."""

    kind = "directory.return"
    label = "Bring directory back"

    def ask(self, job: Job) -> None:
        row = self.row(job)
        job.host, job.datastore = row.host, row.datastore
        services = job.params.get("services")
        job.params["services"] = unit_names(row.services if services is None else services)
        self.check_still(job)
        job.title = f"Bring {row.path} back to {row.host.name}"[:300]
        job.target_label = row.host.name

    def check_still(self, job: Job) -> None:
        self.require_host(job)
        if not self.row(job).moved:
            raise Refused("It was brought back already.")

    def plan(self, job: Job) -> Plan:
        row = self.row(job)
        host, anew = row.host.name, row.path + ANEW
        copied = TreeCopied(host, row.target, anew, row.path, job.uuid.hex)
        return self.switched(job, row.target, copied, DirectoryBack(host, row.path, row.target, anew, copied.outcome))

    def succeeded(self, job: Job, results: Results) -> None:
        MovedDirectory.objects.filter(pk=job.params["directory"]).update(moved=False)


class DirectoryForget(DirectoryJob):
    """Delete what is left of the directory that was there before the move; after the way back, also the copy on the
    datastore, unless another host uses it. params: directory (id).
    """

    kind = "directory.forget"
    label = "Delete kept directory"

    def ask(self, job: Job) -> None:
        row = self.row(job)
        job.host, job.datastore = row.host, row.datastore
        self.check_still(job)
        job.title = f"Delete what {row.path} on {row.host.name} has left"[:300]
        job.target_label = row.host.name

    def check_still(self, job: Job) -> None:
        self.require_host(job)
        if not left_by(self.row(job)):
            raise Refused("It was deleted already.")

    def plan(self, job: Job) -> Plan:
        row = self.row(job)
        host = row.host.name
        steps = ((DirectoryAtRest(host, left), TreeGone(host, left, row.path)) for left in left_by(row))
        return (Stage("delete", tuple(step for pair in steps for step in pair)),)

    def succeeded(self, job: Job, results: Results) -> None:
        row = self.row(job)
        if row.moved:
            MovedDirectory.objects.filter(pk=row.pk).update(kept="")
        else:
            row.delete()


def left_by(row: MovedDirectory) -> list[str]:
    """Return the directories that nobody needs any more."""
    left = [row.kept] if row.kept else []
    shared = MovedDirectory.objects.filter(datastore=row.datastore_id, target=row.target).exclude(pk=row.pk)
    return left if row.moved or shared.exists() else [*left, row.target]

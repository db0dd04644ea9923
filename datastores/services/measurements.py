"""How fast a datastore is: measured on chosen hosts, and remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone

from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import HostState
from datastores.domain.throughput import MIB
from datastores.drivers.base import StorageDriver
from datastores.hosts.copies import Ownership
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.throughput import Ground, Throughput, ThroughputKnown
from datastores.hosts.trials import RootWrites, TrialsSwept
from datastores.models import Datastore, Host, Job, Measurement
from datastores.services import leases
from datastores.services.datastore_hosts import names_of, usable_hosts
from datastores.services.placing import driver_of, hosts_of, require_ready
from datastores.services.scratch_disks import disk_tests, is_used, room_for_test, scratch_disks, with_disks
from datastores.services.usecase import Results, UseCase
from datastores.services.viewers import listed

FIGURES = (
    "tool", "direct", "size", "write_rate", "read_rate", "write_iops", "read_iops", "write_p50", "write_p99",
    "read_p50", "read_p99",
)  # fmt: skip
"""Columns of a measurement that are called like the figures."""


class DatastoreMeasure(UseCase):
    """Try on chosen hosts whether root can write into a datastore, and measure how fast it is there.

    Where no files can be written, a disk is made for each host, attached there, overwritten, and removed again.

    params: hosts (ids), size (bytes at most), seconds (for each part of the test), together (all hosts at once),
    only_try (no throughput), install (fio, where it is missing).
    """

    kind = "datastore.measure"
    label = "Measure datastore"
    queue = "transfer"
    targets = ("datastore",)

    def ask(self, job: Job) -> None:
        self.check_still(job)
        job.params = {"size": 256 * MIB, "seconds": 10} | job.params
        self._fit(job)
        names = names_of(job.params["hosts"])
        job.params["names"] = names
        verb = "Try to write into" if job.params.get("only_try") else "Measure"
        job.title = f"{verb} {job.datastore.name} on {listed(names)}"[:300]
        job.target_label = job.datastore.name

    def again(self, job: Job) -> None:
        self.check_still(job)
        self._fit(job)
        job.params["names"] = names_of(job.params["hosts"])
        job.save(update_fields=["params"])

    def _fit(self, job: Job) -> None:
        if by_disks(driver_of(job.datastore)):
            disks = len(job.params["hosts"])
            job.params["size"] = room_for_test(job.params["size"], job.datastore.free, disks)

    def check_still(self, job: Job) -> None:
        datastore = Datastore.objects.filter(pk=job.datastore_id).first()
        if datastore is None:
            raise Refused("The datastore is gone.")
        require_ready(datastore)
        if not job.params["hosts"]:
            raise BadInput("Choose at least one host.")
        driver = driver_of(datastore)
        for host in hosts_that_may_answer(job.params["hosts"]):
            check_on(driver, host.name)

    def resources(self, job: Job) -> dict[str, bool]:
        hosts = {f"host:{key}": False for key in job.params["hosts"]}
        used = {f"datastore:{job.datastore_id}": False, **leases.uses_hosts(job.datastore_id)}
        return {f"speed of datastore:{job.datastore_id}": True, **used, **hosts}

    def leaves_out(self, job: Job) -> dict[str, bool]:
        driver = driver_of(job.datastore)
        needed = driver.host if by_disks(driver) else ""  # it makes and removes the disks of all
        return {name: name != needed for name in job.params["names"]}

    def plan(self, job: Job) -> Plan:
        driver, tokens = driver_of(job.datastore), tokens_of(job)
        base = driver.base if by_disks(driver) else ""
        swept = tuple(TrialsSwept(name, base or place_on(driver, name), token) for name, token in tokens.items())
        return *self._tried(job, driver, tokens), Stage("clean up", swept)

    def _tried(self, job: Job, driver: StorageDriver, tokens: Mapping[str, str]) -> Plan:
        if by_disks(driver):
            disks = scratch_disks(driver, [*tokens], job.uuid, job.params["size"])
            return with_disks(disks, self._measured(job, [*disk_tests(disks, tokens, job.params["seconds"])]))
        tried = tuple(step for name, token in tokens.items() for step in trial(driver, name, token))
        limits = job.params["size"], job.params["seconds"]
        tests = [ThroughputKnown(name, place_on(driver, name), token, *limits) for name, token in tokens.items()]
        return Stage("can it be written to?", tried), *self._measured(job, tests)

    def _measured(self, job: Job, tests: Sequence[ThroughputKnown]) -> Plan:
        if job.params.get("only_try"):
            return ()
        tools = tuple(PackageInstalled(test.host, "fio") for test in tests if job.params.get("install"))
        if job.params.get("together"):
            stages = [Stage("measure", tuple(tests))]
        else:
            stages = [Stage(f"measure on {test.host}", (test,)) for test in tests]
        return *((Stage("tools", tools),) if tools else ()), *stages

    def succeeded(self, job: Job, results: Results) -> None:
        found = {step.host: facts for step, facts in results if isinstance(step, ThroughputKnown)}
        rows = measurements(job, found)
        if not rows and not job.params.get("only_try"):
            raise Refused(
                "There are no figures: this job was interrupted when it had measured, and what it found was cleaned up "
                "before it was stored. Measure anew, in a new job."
            )
        Measurement.objects.bulk_create(rows)


def hosts_that_may_answer(keys: Sequence[int]) -> list[Host]:
    """Return the hosts to measure on. One that did not answer when it was read last is among them, unless all are so.

    :raises BadInput: one does not exist, or is named twice. :raises Refused: one must not be used now, or all are off.
    """
    silent = set(Host.objects.filter(pk__in=keys, state=HostState.UNREACHABLE, maintenance=False).values_list("pk"))
    answering = [key for key in keys if (key,) not in silent]
    return usable_hosts(answering or list(keys))


def tokens_of(job: Job) -> dict[str, str]:
    """Return by host what its files are called: all may be in one directory, which the hosts see at the same time."""
    return {name: f"{job.uuid.hex}{number:04}" for number, name in enumerate(job.params["names"])}


def place_on(driver: StorageDriver, host: str) -> str:
    """Return the directory in which files of the datastore can be written on the host.

    :raises Unsupported: there is none.
    """
    place = driver.writable(host)
    if not place:
        raise Unsupported(
            f"{driver.label} datastores have no directory on {host} that files could be written into, so nothing can "
            "be measured there."
        )
    return place


def by_disks(driver: StorageDriver) -> bool:
    """Return whether it is measured with disks of its own: no host has a directory that files could be written into."""
    return not any(driver.writable(host) for host in driver.hosts)


def check_on(driver: StorageDriver, host: str) -> None:
    """Raise Unsupported unless the datastore can be measured on the host."""
    if not by_disks(driver):
        place_on(driver, host)
    elif not is_used(driver, host):
        raise Unsupported(f"{driver.label} datastores cannot be measured on {host}. {driver.unmeasured}")


def measured_on(datastore: Datastore) -> list[Host]:
    """Return the hosts on which the datastore can be measured, the storage host first."""
    driver = driver_of(datastore)
    disks = by_disks(driver)
    return [
        host for host in hosts_of(datastore) if driver.writable(host.name) or (disks and is_used(driver, host.name))
    ]


def trial(driver: StorageDriver, host: str, token: str) -> tuple[BaseReady | RootWrites, ...]:
    """Return what shows that root can write files of the datastore on the host."""
    place, owned = place_on(driver, host), driver.ownership or Ownership("root", "root", "0660")
    guard = tuple(step for step in driver.guard(host) if isinstance(step, BaseReady)) or (BaseReady(host, place),)
    return *guard, RootWrites(host, place, token, owned.owner, owned.group, owned.mode)


def measurements(job: Job, found: Mapping[str, Throughput]) -> list[Measurement]:
    """Return the rows of what was found, by the name of the host."""
    hosts = {host.name: host for host in Host.objects.filter(pk__in=job.params["hosts"])}
    storage = hosts_of(job.datastore)[0]
    below = next((each.ground.hardware for name, each in found.items() if name == storage.name), "")
    return [
        Measurement(
            datastore=job.datastore, host=hosts.get(name), datastore_name=job.datastore.name, host_name=name,
            kind=job.datastore.kind, at=timezone.now(), fstype=each.ground.fstype, network=each.ground.network,
            hardware=in_words(hosts.get(name), each.ground, storage.name, below)[:500],
            **{figure: getattr(each.figures, figure) for figure in FIGURES},
        )
        for name, each in found.items() if each.figures
    ]  # fmt: skip


def in_words(host: Host | None, ground: Ground, storage: str, below: str) -> str:
    """Return what a measured datastore is made of. ``below``: the devices of the storage host, as far as known."""
    if not ground.network:
        return ground.hardware
    speeds = network_speeds(host.facts if host else {})
    over = f"over the network ({', '.join(speeds)})" if speeds else "over the network (speed not known)"
    if ground.over:  # what it is attached as tells nothing of the disks behind it
        return f"{over} from {ground.over}"
    return f"{over} from {storage}: {below}" if below else f"{over} from {storage}"


def network_speeds(facts: Mapping[str, Any]) -> list[str]:
    """Return the interfaces of a host that are up, with their speeds as far as they tell them."""
    nics: Sequence[Mapping[str, Any]] = facts.get("nics", ())
    return [
        f"{nic['name']} {nic['speed'] / 1000:g} Gbit/s" for nic in nics if nic["speed"] and nic.get("state") != "down"
    ]

"""Six statements on 50 hosts, by our runner, by Ansible and by pyinfra: the role of a storage client.

A group with its number, an account with its number, a directory with owner and mode, a line in /etc/fstab, the domain
in /etc/idmapd.conf, a service that runs and starts with the host. Before each tool's turn the hosts are put back to
where they were; after it they are looked at: all three must leave the same state.

*Ours* is the runner with the transport's pool and, as in a worker, the real `JobLog` and journal in the product's
database: every action's undo is stored before it runs, and every change is verified by reading again, which the other
two do not do. It runs in a process that is there already, as workers are; Ansible and pyinfra are programs that start
anew, as people use them. *Cold* is the first run, without a connection; *warm* the second one, with nothing to change:
our pool and Ansible's ControlPersist keep their connections, pyinfra has no such thing.

Ansible: 50 forks, pipelining, ControlPersist, no facts gathered. pyinfra: all hosts in parallel. *Bare* is one shell
script of the same eight commands for each host, over cold connections of our pool, all hosts side by side: the least
that it can take here. Most of that is systemd, which reads its units anew twice, for fstab and for the service.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench import tasks
from bench.figures import Figure
from bench.furnish import job_for_log
from bench.peers import Ansible, run_in
from bench.pyinfra import Pyinfra
from bench.site import Site, endpoint, hosts, timed
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import EventKind, StepState
from datastores.hosts.runner import Run
from datastores.jobs.log import JobLog
from datastores.jobs.steps import step_rows
from datastores.models import Job, JobEvent, JobStep
from datastores.transport.endpoint import Endpoint
from datastores.transport.pool import Pool
from tests.lab.lab import Lab

HOSTS, ROUNDS = 50, 3
COLD, WARM = "from cold connections", "with nothing to change"
GOALS = {COLD: 10, WARM: 25}
"""How many times faster than Ansible we want to be."""
TOGETHER = 16


@dataclass
class Farm:
    """The hosts, and a way to them that is not measured."""

    lab: Lab
    endpoints: dict[str, Endpoint]
    pool: Pool

    def everywhere(self, script: str, pool: Pool | None = None, at_once: int = TOGETHER) -> list[str]:
        """Run a script on every host; return what each printed."""
        with ThreadPoolExecutor(at_once) as threads:
            shells = [(pool or self.pool).shell(endpoint) for endpoint in self.endpoints.values()]
            return list(threads.map(lambda shell: run_in(shell, "sh", "-c", script), shells))

    def check(self, who: str) -> None:
        """See that every host is as wanted.

        :raises RuntimeError: one is not.
        """
        for host, state in zip(self.endpoints, self.everywhere(tasks.LOOK), strict=True):
            if state != tasks.WANTED:
                raise RuntimeError(f"After {who}, {host} is not as wanted but:\n{state}")


@dataclass
class Times:
    """Seconds of each round."""

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)

    def median(self, what: str) -> float:
        return statistics.median(self.cold if what == COLD else self.warm)


def measure(site: Site) -> list[Figure]:
    count, rounds = (4, 1) if site.quick else (HOSTS, ROUNDS)
    with hosts(count) as lab, Pool() as pool, tempfile.TemporaryDirectory() as directory:
        farm = Farm(lab, {host.name: endpoint(lab, host) for host in lab.hosts()}, pool)
        farm.everywhere(tasks.PREPARE)
        made = {"ours": Times(), "bare": Times(), "Ansible": Times(), "pyinfra": Times()}
        for _ in range(rounds):
            ours(farm, made["ours"])
            bare(farm, made["bare"])
            beside(farm, "Ansible", AnsibleRole(Ansible(lab.hosts(), Path(directory), forks=HOSTS)), made["Ansible"])
            beside(farm, "pyinfra", Pyinfra(lab, Path(directory)), made["pyinfra"])
    return list(figures(made, count, rounds))


def figures(made: dict[str, Times], count: int, rounds: int) -> Iterator[Figure]:
    least = made["bare"].median(COLD)
    yield Figure(name=f"{count} hosts {COLD}, beside bare", value=made["ours"].median(COLD), unit="s", peer=least,
                 against="bare")  # fmt: skip
    for what, goal in GOALS.items():
        mine, ansible = made["ours"].median(what), made["Ansible"].median(what)
        remark = f"median of {rounds}; pyinfra takes {made['pyinfra'].median(what):.2f} s"
        for against in ("Ansible", "pyinfra"):
            theirs = made[against].median(what)
            yield Figure(name=f"{count} hosts {what}, beside {against}", value=mine, unit="s", peer=theirs,
                         against=against)  # fmt: skip
        yield Figure(name=f"times faster than Ansible {what}", value=ansible / mine, unit="x", goal=goal, remark=remark)


# Ours


def plan(farm: Farm) -> Plan:
    return (Stage("role", tuple(step for host in farm.endpoints for step in tasks.steps(host))),)


def ours(farm: Farm, times: Times) -> None:
    farm.everywhere(tasks.RESET)
    with Pool() as pool:
        jobs = [job_for_log("A role on all hosts") for _ in range(2)]
        times.cold.append(timed(lambda: carry_out(jobs[0], farm, pool)))
        times.warm.append(timed(lambda: carry_out(jobs[1], farm, pool)))
    farm.check("our runner")
    changed, unchanged = (steps_of(job) for job in jobs)
    assert changed == {StepState.CHANGED} and unchanged == {StepState.UNCHANGED}, (changed, unchanged)
    journal = JobEvent.objects.filter(job=jobs[0], kind=EventKind.ACTION_STARTED).count()
    assert journal >= len(farm.endpoints) * 6, f"the journal holds {journal} actions"


def carry_out(job: Job, farm: Farm, pool: Pool) -> None:
    """What a worker does with a plan: rows for its steps, the run, the log to its end."""
    wanted = plan(farm)
    steps = [step for stage in wanted for step in stage.steps]
    JobStep.objects.bulk_create(step_rows(job, wanted, {}))
    log = JobLog(job, hosts=[step.host for step in steps])
    run = Run(wanted, lambda name: pool.shell(farm.endpoints[name]), log, unit=f"cloudstore-{job.uuid.hex[:12]}")
    run.carry_out()
    log.rest()


def steps_of(job: Job) -> set[str]:
    return set(job.steps.values_list("state", flat=True))


# The others


def bare(farm: Farm, times: Times) -> None:
    farm.everywhere(tasks.RESET)
    with Pool() as pool:
        times.cold.append(timed(lambda: farm.everywhere(tasks.BARE, pool, HOSTS)))
    farm.check("the bare script")


@dataclass(frozen=True, slots=True)
class AnsibleRole:
    ansible: Ansible

    def run(self) -> str:
        return self.ansible.play(tasks.ANSIBLE)

    def disconnect(self) -> None:
        self.ansible.disconnect()


def beside(farm: Farm, who: str, tool: AnsibleRole | Pyinfra, times: Times) -> None:
    farm.everywhere(tasks.RESET)
    times.cold.append(timed(tool.run))
    farm.check(who)
    times.warm.append(timed(tool.run))
    farm.check(who)
    tool.disconnect()

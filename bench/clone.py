"""A disk of a 25 GiB image (sparse, 800 MiB of data): from the POST to READY seen over the websocket.

That is the whole product: session, permission, rows, leases and audit entry in one transaction, the queue, reading the
host, the journal before the command, the command, the verification, the end in one transaction, the bell, the socket.
The clones are made one after another. The peers do the bare command, without any of that:

* `ssh`: OpenSSH's client with ControlMaster, `cp --reflink=always` (or `qemu-img create -b` for qcow2) on a connection
  that is open: what a person's shell script does, and about the least that is possible.
* `pool`: the same through the product's own SSH connections.
* `Ansible`: a play with that one command from its start to its end, and what one more item costs in a loop of it;
  pipelining on, ControlPersist, no facts.
* `full copy`: `cp --sparse=always --reflink=never`, not synced, which is all that is left where nothing can clone.

The stages tell where the time of a clone goes: medians between the moments that the job's rows, the queue and the
visitor note, by the same clock.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django_rq
from rq.job import Job as Queued

from bench import peers
from bench.figures import Figure
from bench.furnish import Place, furnish
from bench.site import Site, endpoint, hosts, median_of
from datastores.domain.figures import percentile
from datastores.management.visitor import Visitor
from datastores.models import AuditEntry, Disk, Image, Job
from datastores.transport.pool import Pool
from tests.lab.lab import Lab

PLACES = {"btrfs": Place("/srv/btrfs/images"), "xfs": Place("/srv/xfs/images"), "qcow2": Place("/srv/xfs/qcow2")}
P50, P95 = 50, 95
"""Percentiles, and the goals in ms: 50 and 100."""


class TimedVisitor(Visitor):
    """Notes when a POST was sent and when its answer was there."""

    sent = answered = 0.0

    def post(self, path: str, **fields: Any) -> Any:
        self.sent = time.time()
        answer = super().post(path, **fields)
        self.answered = time.time()
        return answer


@dataclass
class Clones:
    """Clones of one image: how long each took, and the wall-clock moments (sent, answered, seen) of each."""

    image: Image
    seconds: list[float] = field(default_factory=list)
    moments: list[tuple[float, float, float]] = field(default_factory=list)

    def jobs(self) -> list[Job]:
        jobs = Job.objects.filter(image=self.image, kind="disk.create").order_by("-pk")[: len(self.seconds)]
        return list(jobs.prefetch_related("steps"))[::-1]


def measure(site: Site) -> list[Figure]:
    times = 10 if site.quick else 100
    with hosts(1, disks=["h1"]) as lab:
        images = furnish(lab, PLACES)
        visitor = TimedVisitor(site.url, "admin", (site.data / "admin_password").read_text().strip())
        made = {kind: clone(visitor, kind, image, times) for kind, image in images.items()}
        figures = [figure for kind, clones in made.items() for figure in figures_of(kind, clones)]
        figures += stages("xfs", made["xfs"])
        with Pool() as pool, tempfile.TemporaryDirectory() as directory:
            beside = Beside(lab, pool, Path(directory), times)
            figures += [figure for kind, clones in made.items() for figure in beside.figures(kind, clones)]
    return figures


def clone(visitor: TimedVisitor, kind: str, image: Image, times: int) -> Clones:
    """Make clones, after five that do not count."""
    clones = Clones(image)
    with visitor.socket("/ws/feed/") as feed:
        for number in range(5):
            visitor.clone(feed, image.pk, vm_name=f"warm-{kind}-{number}")
        for number in range(times):
            clones.seconds.append(visitor.clone(feed, image.pk, vm_name=f"{kind}-{number}"))
            clones.moments.append((visitor.sent, visitor.answered, time.time()))
    ready = Disk.objects.filter(image=image, state="ready").count()
    assert ready == times + 5, f"{ready} of {times + 5} disks are ready"
    return clones


def figures_of(kind: str, clones: Clones) -> Iterator[Figure]:
    ms = [1000 * seconds for seconds in clones.seconds]
    remark = f"{len(ms)} clones, {min(ms):.0f} to {max(ms):.0f} ms"
    yield Figure(name=f"{kind} p50", value=percentile(ms, P50), unit="ms", goal=50, remark=remark)
    yield Figure(name=f"{kind} p95", value=percentile(ms, P95), unit="ms", goal=100)


# Where the time goes

Moments = tuple[float, ...]


def moments(job: Job, client: tuple[float, float, float], queued: Queued) -> Moments:
    """Return the moments of one clone in order, as seconds since the epoch, and when its POST was answered."""
    sent, answered, seen = client
    step = job.steps.all()[0]
    audited = AuditEntry.objects.get(job_uuid=job.uuid, result=job.state).at
    noted: list[Any] = [job.created_at, queued.enqueued_at, queued.started_at, job.heartbeat_at, step.started_at,
                        step.ended_at, job.ended_at, audited]  # fmt: skip
    return (sent, *(moment.timestamp() for moment in noted), seen, answered)


STAGES = (
    "request until the job is made: session, permission, form, VM",
    "rows, leases, audit, commit, handed to the queue",
    "taken from the queue",
    "job read and claimed",
    "plan, and reading the host in one round trip",
    "journal, then command and verification in one round trip",
    "waiting for the database to write the end",
    "state, rows, log, leases, audit of the end",
    "commit, bell, socket, until READY is seen",
)


def stages(kind: str, clones: Clones) -> list[Figure]:
    """Return the median of each stage."""
    redis = django_rq.get_connection("interactive")
    jobs = clones.jobs()
    names = [f"{job.uuid}-{job.attempts}" for job in jobs]
    queued = Queued.fetch_many(names, redis, serializer=django_rq.get_queue("interactive").serializer)
    kept = [
        moments(job, client, entry)
        for job, client, entry in zip(jobs, clones.moments, queued, strict=True)
        if entry is not None  # the queue keeps an entry for a minute
    ]
    if not kept:
        return []
    figures = [
        Figure(name=f"{kind} stage {number + 1}", value=statistics.median(between(number, number + 1, kept)), unit="ms",
               remark=what)
        for number, what in enumerate(STAGES)
    ]  # fmt: skip
    answered = statistics.median(between(0, -1, kept))
    return [*figures, Figure(name=f"{kind} POST answered after", value=answered, unit="ms", remark="beside stage 3 on")]


def between(first: int, second: int, all_moments: list[Moments]) -> list[float]:
    return [1000 * (moments[second] - moments[first]) for moments in all_moments]


# The peers


@dataclass(frozen=True, slots=True)
class Beside:
    """The same clones by other means, on the same host."""

    lab: Lab
    pool: Pool
    directory: Path
    times: int

    def figures(self, kind: str, clones: Clones) -> Iterator[Figure]:
        ours = 1000 * percentile(clones.seconds, P50)
        for against, seconds in self.others(kind, clones):
            yield Figure(
                name=f"{kind} p50 beside {against}", value=ours, unit="ms", peer=1000 * seconds, against=against
            )

    def others(self, kind: str, clones: Clones) -> Iterator[tuple[str, float]]:
        """Yield who, and the seconds it takes for one clone."""
        host = self.lab.host("h1")
        shell = self.pool.shell(endpoint(self.lab, host))
        place = f"{PLACES[kind].base}/peers"
        peers.run_in(shell, "install", "-d", place)
        source = f"{PLACES[kind].base}/{clones.image.uuid}.{clones.image.format}"
        command = overlay if kind == "qcow2" else reflink
        yield "ssh", peers.over_ssh(host, self.targets(command, source, f"{place}/ssh"))
        yield "pool", peers.over_our_pool(shell, self.targets(command, source, f"{place}/pool"))
        ansible = peers.Ansible([host], self.directory)
        argv = command(source, f"{place}/ansible")
        yield "Ansible, one play", ansible.one_command(argv, 2 if self.times < 100 else 7)
        yield "Ansible, one more item", ansible.per_item(argv, self.times)
        ansible.disconnect()
        if kind != "qcow2":
            copy = ("cp", "--sparse=always", "--reflink=never", "--", source, f"{place}/copy")
            yield "full copy", median_of(1 if self.times < 100 else 3, lambda: peers.run_in(shell, *copy))

    def targets(self, command: Callable[[str, str], list[str]], source: str, name: str) -> list[list[str]]:
        return [command(source, f"{name}-{number}") for number in range(self.times)]


def reflink(source: str, target: str) -> list[str]:
    return ["cp", "--reflink=always", "--", source, target]


def overlay(source: str, target: str) -> list[str]:
    return ["qemu-img", "create", "-q", "-f", "qcow2", "-b", source, "-F", "raw", target]

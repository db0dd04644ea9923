"""A thousand clones asked for at once, and two colleagues who look at lists meanwhile.

One POST asks for the disks of 1,000 new virtual machines, on XFS. The rate counts from that POST until the last disk is
READY. None may be lost: every disk is READY in the database and a file on the host, and the audit trail is whole.
Meanwhile two others reload the lists of jobs and of virtual machines, each five times a second at most.

The peer is the least that one connection can do: the same commands over one of the product's own warm SSH connections,
eight side by side, without rows, plan, journal, verification and log.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

from bench import peers
from bench.clone import PLACES, reflink
from bench.figures import Figure
from bench.furnish import furnish
from bench.site import Site, endpoint, hosts, timed
from datastores.domain.figures import percentile
from datastores.domain.states import ENDED, ObjectState
from datastores.management.visitor import Visitor
from datastores.models import Disk, Image, Job
from datastores.models.audit import verify
from datastores.services.placing import with_paths
from datastores.transport.pool import Pool
from tests.lab.lab import Lab

PLACE = PLACES["xfs"]
LISTS = ("/jobs/", "/vms/")
PAUSE = 0.2
PATIENCE = 300.0
SESSIONS = 8
"""Commands at once on one connection, as many as the product runs."""


@dataclass
class Onlooker:
    """A visitor who fetches a list again and again until told to stop."""

    visitor: Visitor
    path: str
    over: Event
    seconds: list[float] = field(default_factory=list)

    def look(self) -> None:
        while not self.over.is_set():
            self.seconds.append(timed(lambda: self.visitor.get(self.path)))
            self.over.wait(max(0.0, PAUSE - self.seconds[-1]))


def measure(site: Site) -> list[Figure]:
    count = 60 if site.quick else 1000
    with hosts(1, disks=["h1"]) as lab:
        image = furnish(lab, {"xfs": PLACE})["xfs"]
        over = Event()
        onlookers = [Onlooker(site.visitor(), path, over) for path in LISTS]
        with ThreadPoolExecutor(len(onlookers)) as threads:
            looking = [threads.submit(onlooker.look) for onlooker in onlookers]
            try:
                asked, seconds = burst(site, image, count)
            finally:
                over.set()
        for each in looking:
            each.result()
        lost = count - there(lab, image)
        with Pool() as pool:
            bare = bare_rate(lab, pool, image, count)
    return [*figures(count, asked, seconds, lost, bare), *map(list_figure, onlookers)]


def burst(site: Site, image: Image, count: int) -> tuple[float, float]:
    """Return the seconds until the POST was answered, and until the last disk was ready.

    :raises TimeoutError: they did not all end.
    """
    visitor = site.visitor()
    visitor.http.sock.settimeout(PATIENCE)
    started = time.time()
    visitor.post(f"/images/{image.pk}/disks/", count=count, vm_name="burst")
    asked = time.time() - started
    jobs = Job.objects.filter(image=image, kind="disk.create")
    while (ended := jobs.filter(state__in=ENDED).count()) < count:
        if time.time() - started > PATIENCE:
            raise TimeoutError(f"{count - ended} of {count} clones have not ended after {PATIENCE:.0f} s.")
        time.sleep(0.25)
    last = jobs.order_by("-ended_at").values_list("ended_at", flat=True)[0]
    return asked, last.timestamp() - started


def there(lab: Lab, image: Image) -> int:
    """Return how many disks are ready, and files on the host."""
    disks = Disk.objects.filter(image=image, state=ObjectState.READY).select_related("datastore")
    ready = {path for _, path in with_paths(disks)}
    found = lab.host("h1").run(["find", PLACE.base, "-name", "disk.*", "-type", "f"], check=True).stdout.split()
    return len(ready & set(found))


def bare_rate(lab: Lab, pool: Pool, image: Image, count: int) -> float:
    """Return clones per second of the bare command."""
    shell = pool.shell(endpoint(lab, lab.host("h1")))
    peers.run_in(shell, "install", "-d", f"{PLACE.base}/peers")
    source = f"{PLACE.base}/{image.uuid}.{image.format}"
    commands = [reflink(source, f"{PLACE.base}/peers/{number}") for number in range(count)]
    with ThreadPoolExecutor(SESSIONS) as threads:
        return count / timed(lambda: list(threads.map(lambda argv: peers.run_in(shell, *argv), commands)))


def figures(count: int, asked: float, seconds: float, lost: int, bare: float) -> list[Figure]:
    sound, wrong = verify()
    told = f"{count} clones in {seconds:.1f} s; the POST was answered after {asked:.1f} s"
    trail = f"{sound} entries of the audit trail are sound, {len(wrong)} are not"
    return [
        Figure(name="clones per second", value=count / seconds, unit="/s", goal=50, remark=told),
        Figure(name="clones per second beside bare", value=count / seconds, unit="/s", peer=bare, against="bare"),
        Figure(name="clones lost", value=lost, unit="", goal=0, remark=trail),
    ]


def list_figure(onlooker: Onlooker) -> Figure:
    ms = [1000 * seconds for seconds in onlooker.seconds]
    remark = f"{len(ms)} times; p50 {percentile(ms, 50):.0f}, worst {max(ms):.0f} ms"
    return Figure(name=f"{onlooker.path} meanwhile, p95", value=percentile(ms, 95), unit="ms", goal=300, remark=remark)

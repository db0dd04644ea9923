"""Two hundred open lists while fifty jobs a second change.

Four people (an admin, an operator, an auditor and the tenant whose rows they are) have fifty lists open each: half of
jobs, half of images, with the fifty jobs and images that change. A worker's side moves these jobs on, one after another
(queued, running, interrupted, queued ...), each with its image, by the same compare-and-set and the same bell as a
worker; the real workers are stopped, for they would take the jobs. The lists do what the scripts of the page do: they
hear the news over the feed's socket and read the rows that changed with one request, the next one when that is
answered, every 300 ms to 5 s, and up to 10 s when the answers are slow. They are one process on the same machine.

The age of a change counts until a list shows it, or a newer one of the same row. At the end every list must show the
last change of every row. Whether the web process falls behind is told by the ages of the first and of the last third,
and by what somebody beside them waits for, at rest and meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from django.db import transaction

from bench.alone import Alone
from bench.figures import Figure
from bench.open_pages import OpenList
from bench.seed import Size, seed
from bench.site import Site, environment, timed
from datastores.domain.figures import percentile
from datastores.domain.states import JobState
from datastores.jobs import doorbell
from datastores.management.visitor import Visitor
from datastores.models import Image, Job, Lease, User

LISTS, RATE, SECONDS = 200, 50, 30
ROWS = 50
"""As many as a page has."""
PATHS = ("/jobs/", "/images/?columns=id,name,state,type,format,datastore,size,real,disks,owner,source")
"""The lists, with a column that shows which change it was."""
PASSWORD = "four-people-look-at-lists"  # noqa: S105 of an installation that is thrown away
NEXT = {
    JobState.QUEUED: JobState.RUNNING, JobState.RUNNING: JobState.INTERRUPTED, JobState.INTERRUPTED: JobState.QUEUED,
}  # fmt: skip
LOOKED_AT = ("/healthz", "/")
PAUSE = 0.1
PATIENCE = 60.0


def measure(site: Site) -> list[Figure]:
    lists, seconds = (40, 6) if site.quick else (LISTS, SECONDS)
    site.stop_workers()
    seed(Size().part(200 if site.quick else 50))
    visitors = [Visitor(site.url, name, PASSWORD) for name in people()]
    keys = furnish()
    pages = [OpenList(visitor, path) for visitor, path in pairs(visitors, lists)]
    rest = Alone(environment(), "bench.open_lists", "look", site, 5.0).result(PATIENCE)
    seen = asyncio.run(watch(site, pages, keys, seconds))
    return [*age_figures(seen), *server_figures(seen, rest)]


def people() -> Iterator[str]:
    """Make those who look, and yield their names; the tenant is the last one."""
    for role in (User.Role.ADMIN, User.Role.OPERATOR, User.Role.AUDITOR, User.Role.TENANT):
        User.objects.create_user(username=f"looking-{role}", password=PASSWORD, role=role)
        yield f"looking-{role}"


def pairs(visitors: Sequence[Visitor], lists: int) -> Iterator[tuple[Visitor, str]]:
    """Yield who looks at which list."""
    for number, visitor in zip(range(lists), cycle(visitors), strict=False):
        yield visitor, PATHS[number // len(visitors) % len(PATHS)]


def furnish() -> list[int]:
    """Make the images and the jobs that work on them; return the keys of the jobs, each of its image's place."""
    owner = User.objects.get(username=f"looking-{User.Role.TENANT}")
    home = Image.objects.all()[0].datastore
    keys = []
    for number in range(ROWS):
        image = Image.objects.create(name=f"looked-at-{number}", datastore=home, owner=owner, state="ready")
        job = Job.objects.create(kind="image.checksum", title=f"Read {image}", user=owner, image=image, attempts=1)
        Lease.objects.create(resource=f"image:{image.pk}", job=job, exclusive=True, granted=True)
        keys.append(job.pk)
    return keys


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of it. ``made``: when each change was made, in ns. ``cpu``: seconds that the web process worked.

    ``waits``: what somebody beside waited for each address, in ms. ``caught_up``: seconds until all lists were quiet.
    """

    pages: Sequence[OpenList]
    made: Sequence[int]
    waits: dict[str, list[float]]
    cpu: float
    caught_up: float

    def ages(self) -> Iterator[tuple[int, float]]:
        """Yield (change, its age in ms) for every change that a list came to show, or a newer one in its place."""
        for page in self.pages:
            for now, _, before, change in page.came:
                first = before + ROWS if before else (change - 1) % ROWS + 1
                for number in range(first, change + 1, ROWS):
                    yield number, (now - self.made[number - 1]) / 1e6

    @property
    def behind(self) -> int:
        """How many rows of lists do not show their last change."""
        last = len(self.made)
        newest = {number % ROWS: number for number in range(1, last + 1)}
        shown = [sorted(page.has.values()) for page in self.pages]
        return sum(len(set(newest.values()) - set(each)) for each in shown)


async def watch(site: Site, pages: Sequence[OpenList], keys: Sequence[int], seconds: int) -> Seen:
    """Let the lists follow while the jobs change; see that they become quiet again.

    :raises RuntimeError: a list ended, could not be read, or does not hold the rows that change.
    """
    inside = asyncio.Barrier(len(pages) + 1)
    following = [asyncio.create_task(page.follow(inside)) for page in pages]
    entering = asyncio.create_task(inside.wait())
    await asyncio.wait([*following, entering], return_when=asyncio.FIRST_COMPLETED)
    require_open(following)
    if any(len(page.has) != ROWS for page in pages):
        raise RuntimeError("A list does not show the rows that change.")
    web = site.stack.pid_of("web")
    busy = cpu_seconds(web)
    writing = Alone(environment(), "bench.open_lists", "change", keys, RATE, seconds)
    looking = Alone(environment(), "bench.open_lists", "look", site, float(seconds))
    made = await asyncio.to_thread(writing.result, seconds + PATIENCE)
    over = time.monotonic()
    waits = await asyncio.to_thread(looking.result, seconds + PATIENCE)
    cpu = cpu_seconds(web) - busy
    while time.monotonic() - over < 1 or not all(page.is_idle for page in pages):
        if time.monotonic() - over > PATIENCE:
            break
        await asyncio.sleep(0.05)
    require_open(following)
    caught_up = max((page.came[-1][0] for page in pages if page.came), default=made[-1]) - made[-1]
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    if failed := next(filter(None, (page.failed for page in pages)), ""):
        raise RuntimeError(failed)
    return Seen(pages, made, waits, cpu, caught_up / 1e9)


def require_open(following: Sequence[asyncio.Task[None]]) -> None:
    """Raise what ended a list. Raises RuntimeError when a list just ended."""
    for task in following:
        if task.done():
            task.result()
            raise RuntimeError("The server has closed the socket of a list.")


def change(keys: Sequence[int], rate: int, seconds: int) -> list[int]:
    """Change so many jobs a second, with their images, as a worker does; return when each change was made, in ns.

    :raises RuntimeError: somebody else changed them.
    """
    jobs = [Job.objects.select_related("image").get(pk=key) for key in keys]
    made: list[int] = []
    started = time.monotonic()
    while len(made) < rate * seconds:
        time.sleep(max(0.0, started + len(made) / rate - time.monotonic()))
        job = jobs[len(made) % len(jobs)]
        made.append(time.time_ns())
        words = f"change {len(made)}."
        with transaction.atomic():
            if not job.move(JobState(job.state), to=NEXT[JobState(job.state)], error=words):
                raise RuntimeError(f"{job} was changed by somebody else.")
            Image.objects.filter(pk=job.image_id).update(source=words)
        doorbell.ring_state(job)
    time.sleep(0.5)  # as a worker's process does, it stays: the last bell is still under way
    return made


def look(site: Site, seconds: float) -> dict[str, list[float]]:
    """Ask for some addresses again and again for so long; return the ms of each."""
    visitor = site.visitor()
    waits: dict[str, list[float]] = {path: [] for path in LOOKED_AT}
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        for path, found in waits.items():
            found.append(1000 * timed(lambda: visitor.get(path)))  # noqa: B023 called at once
            time.sleep(PAUSE)
    return waits


def cpu_seconds(pid: int) -> float:
    """Return how long a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def age_figures(seen: Seen) -> Iterator[Figure]:
    ages = list(seen.ages())
    changes = len(seen.made)
    thirds = [[age for number, age in ages if lowest < number <= lowest + changes // 3]
              for lowest in (0, changes - changes // 3)]  # fmt: skip
    rate = changes / (seen.made[-1] - seen.made[0]) * 1e9
    lists = f"{len(seen.pages)} lists, {rate:.0f} changes/s"
    every = [age for _, age in ages]
    p50s = [percentile(each, 50) for each in thirds]
    yield Figure(name=f"{lists}: age p50", value=percentile(every, 50), unit="ms", remark=f"{len(every):,} of them")
    yield Figure(name="age p99", value=percentile(every, 99), unit="ms", goal=6000, remark=f"worst {max(every):,.0f}")
    yield Figure(name="rows that do not show their last change", value=seen.behind, unit="", goal=0)
    remark = f"p50 {p50s[0]:,.0f} and {p50s[1]:,.0f} ms"
    p99s = [percentile(each, 99) for each in thirds]
    yield Figure(name="age p99, last third beside the first", value=p99s[1], unit="ms", peer=p99s[0],
                 against="first third", remark=remark)  # fmt: skip
    yield Figure(name="from the last change until all lists show it", value=seen.caught_up, unit="s", goal=6)


def server_figures(seen: Seen, rest: dict[str, list[float]]) -> Iterator[Figure]:
    seconds = (seen.made[-1] - seen.made[0]) / 1e9
    asked = [wait for page in seen.pages for wait in page.waits]
    news = sum(page.news for page in seen.pages)
    yield Figure(name="rows read again, p95 of the answers", value=1000 * percentile(asked, 95), unit="ms",
                 remark=f"{len(asked) / seconds:.0f} requests/s, {news / seconds:,.0f} news/s")  # fmt: skip
    for path in LOOKED_AT:
        before, during = percentile(rest[path], 95), percentile(seen.waits[path], 95)
        yield Figure(name=f"{path} meanwhile, p95", value=during, unit="ms", peer=before, against="at rest",
                     goal=300, remark=f"{len(seen.waits[path])} times")  # fmt: skip
    share = 100 * seen.cpu / seconds
    yield Figure(name="web process, share of a processor", value=share, unit="%", remark="100: it does nothing else")

"""The log of a job: from a remote command to the store, and from there to a browser.

*Throughput*: a million lines of 80 characters (`seq -f`), through the product's transport and `JobLog` into its
database, in a process beside the running product, until the last line is stored. Nothing is lost: every line is read
back from the store and compared. The peers are OpenSSH's client with the same command into a file, and with `cat` of a
file of the same lines, which is the physical limit.

*Latency*: a remote command prints 5,000 lines a second, each with the time at which it is written; a websocket client
notes how old each line is when it arrives, stored and numbered by then. Host and controller have the same clock. The
peer is the age of the same lines at the end of a bare `ssh`, which stores nothing.
"""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import writer
from bench.alone import Alone
from bench.figures import Figure
from bench.furnish import job_for_log
from bench.readers import Viewers
from bench.site import Site, endpoint, environment, hosts, kept_ssh, timed
from datastores.domain.figures import percentile
from datastores.transport.endpoint import Endpoint

RATE, SECONDS = 5000, 20
FILE = "/var/tmp/lines.txt"
PATIENCE = 120.0


def measure(site: Site) -> list[Figure]:
    lines, times = (100_000, 1) if site.quick else (1_000_000, 3)
    with hosts(1) as lab, kept_ssh(lab.host("h1")) as ssh:
        where, beside = endpoint(lab, lab.host("h1")), Beside(ssh, site.data / "lines.txt")
        return [
            *throughput(where, lines, times, beside),
            *latency(site, where, beside, 4 if site.quick else SECONDS),
        ]


def throughput(where: Endpoint, lines: int, times: int, beside: Beside) -> list[Figure]:
    seconds, lost = [], 0
    for _ in range(times):
        job = job_for_log("A million lines")
        begun, ended = Alone(environment(), "bench.writer", "write", job.pk, where, writer.numbered(lines)).result(
            PATIENCE
        )
        seconds.append(ended - begun)
        lost += lines - writer.kept(job)
    rates = sorted(lines / each for each in seconds)
    ours = percentile(rates, 50)
    remark = f"{times} times {lines:,} lines, {rates[0]:,.0f} to {rates[-1]:,.0f}"
    seq, cat = (lines / each for each in beside.seconds(lines, times))
    return [
        Figure(name="into the store", value=ours, unit="lines/s", goal=200_000, remark=remark),
        Figure(name="lines lost", value=lost, unit="", goal=0, remark="each compared with what was written"),
        Figure(name="beside ssh seq > file", value=ours, unit="lines/s", peer=seq, against="ssh seq"),
        Figure(name="beside ssh cat > file", value=ours, unit="lines/s", peer=cat, against="ssh cat"),
    ]


def latency(site: Site, where: Endpoint, beside: Beside, seconds: int) -> list[Figure]:
    viewers = watched(site, where, viewers=1, rate=RATE, seconds=seconds)
    bare = beside.age(RATE, seconds)
    p99 = viewers.age(99)
    remark = f"{RATE * seconds:,} lines; p50 {viewers.age(50)}, worst {max(viewers.ages)} ms"
    return [
        Figure(name="age at a websocket, p99", value=p99, unit="ms", goal=150, remark=remark),
        Figure(name="lines lost, doubled or out of order", value=viewers.astray, unit="", goal=0),
        Figure(name="age p99 beside ssh", value=p99, unit="ms", peer=bare, against="ssh"),
    ]


def watched(site: Site, where: Endpoint, *, viewers: int, rate: int, seconds: int) -> Viewers:
    """Let viewers follow a command that prints for so long, and return what they saw.

    :raises TimeoutError: some did not see the end.
    """
    job = job_for_log(f"{rate} lines a second for {viewers} viewers")
    seen = Viewers(site.visitor(), job.uuid, viewers)

    async def follow() -> None:
        started = asyncio.Event()
        watching = asyncio.create_task(seen.watch(rate * seconds, started, seconds + PATIENCE))
        await started.wait()
        writing = Alone(environment(), "bench.writer", "write", job.pk, where, writer.paced(rate, seconds))
        await watching
        writing.result(PATIENCE)

    asyncio.run(follow())
    if missed := sum(lines < rate * seconds for lines in seen.seen):
        raise TimeoutError(f"{missed} of {viewers} viewers have not seen the last of {rate * seconds} lines.")
    return seen


@dataclass(frozen=True, slots=True)
class Beside:
    """OpenSSH's client doing the same, on a connection that is open, into a file here."""

    ssh: list[str]
    file: Path

    def seconds(self, lines: int, times: int) -> tuple[float, float]:
        """Return the median seconds of `seq` into a file here, and of `cat` of a file there."""
        seq = shlex.join(writer.numbered(lines))
        self.run(f"{seq} > {FILE}")
        of_seq, of_cat = ([timed(lambda: self.run(each)) for _ in range(times)] for each in (seq, f"cat {FILE}"))  # noqa: B023 called at once
        size = self.file.stat().st_size
        assert size == lines * writer.WIDTH, f"ssh brought {size} bytes"
        self.file.unlink()
        return percentile(of_seq, 50), percentile(of_cat, 50)

    def run(self, line: str) -> None:
        with self.file.open("wb") as file:
            subprocess.run([*self.ssh, line], stdout=file, check=True, timeout=PATIENCE)

    def age(self, rate: int, seconds: int) -> float:
        """Return the p99 age in ms of lines at the end of a pipe from `ssh`."""
        ages: Counter[int] = Counter()
        with subprocess.Popen(
            [*self.ssh, shlex.join(writer.paced(rate, seconds))], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            for line in process.stdout:
                ages[(time.time_ns() - int(line.split(" ", 2)[1])) // 1_000_000] += 1
        return percentile([float(age) for age in ages.elements()], 99)

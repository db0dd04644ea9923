"""A worker's side of a log, as ``jobs/attempts.py`` has it: a remote command's output through transport and JobLog."""

from __future__ import annotations

import time

from datastores.domain.errors import CommandFailed
from datastores.domain.plan import Command
from datastores.jobs.log import JobLog
from datastores.models import Job, JobEvent
from datastores.transport.endpoint import Endpoint
from datastores.transport.pool import Pool

WIDTH = 80
"""Characters of a line, with its newline."""

BELL = 0.5
"""Seconds that the process stays at the end, as a worker's does: the last bell is still under way."""

PACED = """
import sys, time
rate, seconds, width = map(int, sys.argv[1:])
total, number, start = rate * seconds, 0, time.time()
while number < total:
    due = min(total, int((time.time() - start) * rate))
    lines = []
    while number < due:
        number += 1
        lines.append(f"{number} {time.time_ns()} ".ljust(width - 1, "."))
    if lines:
        sys.stdout.write("\\n".join(lines) + "\\n")
        sys.stdout.flush()
    time.sleep(0.002)
"""
"""Runs on the host: so many lines a second, each with its number and the time at which it was written."""


def paced(rate: int, seconds: int) -> tuple[str, ...]:
    return ("python3", "-c", PACED, str(rate), str(seconds), str(WIDTH))


def numbered(lines: int) -> tuple[str, ...]:
    """Return the command that prints so many different lines as fast as it can."""
    return ("seq", "-f", "line %010.0f ".ljust(WIDTH - 4, "."), "1", str(lines))


def text_of(number: int) -> str:
    """Return a line of ``numbered``."""
    return f"line {number:010d} ".ljust(WIDTH - 1, ".")


def write(job_pk: int, endpoint: Endpoint, argv: tuple[str, ...]) -> tuple[float, float]:
    """Run a command on a host, its output becoming the job's log; return when it began and when all was stored.

    :raises CommandFailed: the command did.
    """
    log = JobLog(Job.objects.get(pk=job_pk), hosts=[endpoint.name])
    with Pool() as pool:
        shell = pool.shell(endpoint)
        shell.run(Command(("true",), root=False))  # a worker's connection is warm
        started = time.time()
        output = shell.run(Command(argv, root=False, timeout=600), on_output=lambda text: log.output(0, text))
        log.rest()
        ended = time.time()
    time.sleep(BELL)
    if not output.ok:
        raise CommandFailed(argv, output.exit_status, output.stderr, endpoint.name)
    return started, ended


def kept(job: Job) -> int:
    """Return how many lines of ``numbered`` a log holds, each whole and at its place, up to the first that is not."""
    number = 0
    for event in JobEvent.objects.filter(job=job).order_by("seq").iterator(chunk_size=100):
        for line in event.text.split("\n"):
            if line != text_of(number + 1):
                return number
            number += 1
    return number

"""Samples of hosts: one round trip to each, side by side."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from queue import SimpleQueue
from typing import Any

from django.utils import timezone

from datastores.domain.errors import CloudstoreError, HostGone, Unreachable
from datastores.domain.plan import Shell
from datastores.hosts.vitals import Vitals
from datastores.jobs.background import Background
from datastores.jobs.connections import MOST_WARM, connector
from datastores.jobs.quarantine import quarantine_after
from datastores.models import Host, HostSample
from datastores.services.samples import store

logger = logging.getLogger(__name__)
SAMPLED_AT_ONCE = 16
"""Hosts that are asked side by side."""
STORED_AT_ONCE = 200

Figures = dict[str, Any]
"""The columns of a sample."""
Answer = tuple[Host, Figures | Exception]


def take_samples(on_silent: Callable[[Host], object]) -> int:
    """Take a sample of every host that may be spoken to; return how many answered.

    ``on_silent`` is told at once of each that does not. One that hangs delays no other's sample but by the thread that
    waits for it.
    """
    at, stored = timezone.now(), 0
    found: dict[int, Figures] = {}
    for host, answer in ask_hosts(list(Host.objects.usable().only("name").order_by("pk"))):
        if isinstance(answer, dict):
            found[host.pk] = answer
        else:
            tell(host, answer)
        if isinstance(answer, Unreachable):
            on_silent(host)
        if len(found) == STORED_AT_ONCE:
            stored += store(HostSample, found, at)
            found.clear()
    return stored + store(HostSample, found, at)


def ask_hosts(hosts: Sequence[Host]) -> Iterator[Answer]:
    """Yield the hosts with what each said, in the order in which they answer.

    The first ones stay connected; the others are connected to in turn, unless they are for another reason.
    """
    answers: SimpleQueue[Answer] = SimpleQueue()
    lasting, passing = connector(), connector(passing=True)
    for number, host in enumerate(hosts):
        connect = lasting if number < MOST_WARM else passing
        try:
            samplers().give(partial(ask, host, connect(host.name), answers))
        except CloudstoreError as error:
            answers.put((host, error))
    for _ in hosts:
        yield answers.get()


@functools.cache
def samplers() -> Background:
    return Background("sample", SAMPLED_AT_ONCE)


def ask(host: Host, shell: Shell, answers: SimpleQueue[Answer]) -> None:
    """Ask one host, and take the time. Knows no database.

    The first time, most of it is for making the connection; that says nothing about the next one.
    """
    try:
        warm, start = shell.warm, time.perf_counter()
        outputs = shell.run_many(Vitals.reads())
        milliseconds = (time.perf_counter() - start) * 1000
        vitals = Vitals.parse(outputs, shell.host)
    except Exception as error:  # told by who waits for it
        answers.put((host, error))
    else:
        answers.put((host, {"latency": milliseconds if warm else None, **asdict(vitals)}))


def tell(host: Host, error: Exception) -> None:
    """Say why there is no sample of the host."""
    if isinstance(error, HostGone):
        return
    if isinstance(error, CloudstoreError):
        quarantine_after(error)
        logger.warning("no sample of host %s: %s", host, error)
    else:
        logger.error("a defect in sampling the host %s", host, exc_info=error)

"""Samples of hosts: one round trip to each, side by side, and one more to those that use datastores of others."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.utils import timezone

from datastores.domain.errors import CloudstoreError, HostGone, Unreachable
from datastores.domain.plan import Shell
from datastores.hosts.sights import Sight, look_at, unseen
from datastores.hosts.vitals import Vitals
from datastores.jobs.background import Background
from datastores.jobs.connections import MOST_WARM, connector
from datastores.jobs.quarantine import quarantine_after
from datastores.models import Host, HostSample
from datastores.services.samples import store
from datastores.services.sights import Wanted, remember_sights, wanted_sights

logger = logging.getLogger(__name__)
SAMPLED_AT_ONCE = 16
"""Hosts that are asked side by side."""
STORED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Sample:
    """What a host said. ``figures``: the columns of its row; ``unseen``: by membership, why it does not see that."""

    figures: Mapping[str, Any]
    unseen: Mapping[int, str | None] = field(default_factory=dict)


def take_samples(on_silent: Callable[[Host], object]) -> int:
    """Take a sample of every host that may be spoken to; return how many answered.

    ``on_silent`` is told at once of each that does not. One that hangs delays no other's sample but by the thread that
    waits for it.
    """
    at, stored = timezone.now(), 0
    found: dict[int, Sample] = {}
    for host, answer in ask_hosts(list(Host.objects.usable().only("name").order_by("pk")), wanted_sights()):
        if isinstance(answer, Sample):
            found[host.pk] = answer
        else:
            tell(host, answer)
        if isinstance(answer, Unreachable):
            on_silent(host)
        if len(found) == STORED_AT_ONCE:
            stored += remember(found, at)
            found.clear()
    return stored + remember(found, at)


def remember(found: Mapping[int, Sample], at: datetime) -> int:
    """Store what hosts said; return of how many."""
    seen = {key: why for sample in found.values() for key, why in sample.unseen.items()}
    if seen:
        remember_sights(seen, at)
    return store(HostSample, {key: sample.figures for key, sample in found.items()}, at)


def ask_hosts(hosts: Sequence[Host], wanted: Wanted) -> Iterator[tuple[Host, Sample | Exception]]:
    """Yield the hosts with what each said, in the order in which they answer.

    The first ones stay connected; the others are connected to in turn, unless they are for another reason.
    """
    lasting, passing = connector(), connector(passing=True)
    warm = {host.pk for host in hosts[:MOST_WARM]}

    def prepare(host: Host) -> Callable[[], Sample]:
        connect = lasting if host.pk in warm else passing
        return partial(ask, connect(host.name), wanted.get(host.pk, {}))

    return samplers().each(hosts, prepare)


@functools.cache
def samplers() -> Background:
    return Background("sample", SAMPLED_AT_ONCE)


def ask(shell: Shell, sights: Mapping[int, Sight]) -> Sample:
    """Ask one host, and take the time; then see what it sees. Knows no database.

    The first time, most of it is for making the connection; that says nothing about the next one.
    """
    warm, start = shell.warm, time.perf_counter()
    outputs = shell.run_many(Vitals.reads())
    milliseconds = (time.perf_counter() - start) * 1000
    vitals = Vitals.parse(outputs, shell.host)
    figures = {"latency": milliseconds if warm else None, **asdict(vitals)}
    return Sample(figures, look_around(shell, sights) if sights else {})


def look_around(shell: Shell, sights: Mapping[int, Sight]) -> dict[int, str | None]:
    """Return why the host does not see what it has to see; nothing when it cannot say that: it has answered before."""
    wanted = list(sights.values())
    command = look_at(wanted)
    try:
        return dict(zip(sights, unseen(wanted, shell.run(command), shell.host), strict=True))
    except CloudstoreError as error:
        logger.warning("whether %s sees its datastores is not known: %s", shell.host, error)
        return {}


def tell(host: Host, error: Exception) -> None:
    """Say why there is no sample of the host."""
    if isinstance(error, HostGone):
        return
    if isinstance(error, CloudstoreError):
        quarantine_after(error)
        logger.warning("no sample of host %s: %s", host, error)
    else:
        logger.error("a defect in sampling the host %s", host, exc_info=error)

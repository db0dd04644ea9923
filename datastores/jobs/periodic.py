"""Duties of the schedule: measuring datastores, reading and sampling hosts, forgetting what nobody will ask for."""

from __future__ import annotations

import functools
import logging
from datetime import timedelta
from functools import partial

from django.db.models import QuerySet
from django.utils import timezone

from datastores.domain.errors import CloudstoreError, Unreachable
from datastores.domain.plan import Command, Shell
from datastores.domain.states import HostState, JobState, ObjectState, StepState
from datastores.drivers.base import StorageDriver
from datastores.jobs.background import Background
from datastores.jobs.connections import connector
from datastores.jobs.quarantine import quarantine_after
from datastores.jobs.sampling import take_samples
from datastores.jobs.submit import submit
from datastores.models import Datastore, Host, Job
from datastores.services import settings
from datastores.services.datastores import Measure, measure, remember_measure, remember_unmeasured
from datastores.services.placing import driver_of
from datastores.services.samples import sample_datastore

logger = logging.getLogger(__name__)
MEASURED_AT_ONCE = 16
"""Hosts of which datastores are measured side by side."""
FORGOTTEN_AT_ONCE = 200
"""Jobs deleted in one transaction."""


def measure_datastores() -> int:
    """Measure every datastore in use whose storage host may be spoken to; return how many could be.

    Hosts are asked side by side. A datastore that cannot be read says so and holds up nobody else; what was found is
    remembered here, since the threads that ask know no database.
    """
    lanes, connect = by_storage_host(), connector()
    answers = measurers().each(lanes, lambda host: partial(measure_lane, lanes[host], connect(host)))
    return sum(remember(*found) for host, answer in answers for found in of_lane(lanes[host], answer))


Measured = tuple[Datastore, Measure | Exception]
"""A datastore, and what was found or why it could not be read."""
Lane = list[tuple[Datastore, StorageDriver]]
"""Datastores of one storage host."""


def by_storage_host() -> dict[str, Lane]:
    """Return the datastores to measure, by the names of their storage hosts."""
    usable = {"members__position": 0, "members__host__state": HostState.READY, "members__host__maintenance": False}
    lanes: dict[str, Lane] = {}
    for datastore in Datastore.objects.filter(state=ObjectState.READY, **usable):
        try:
            driver = driver_of(datastore)
        except CloudstoreError as error:
            remember(datastore, error)
        else:
            lanes.setdefault(driver.host, []).append((datastore, driver))
    return lanes


@functools.cache
def measurers() -> Background:
    return Background("measure", MEASURED_AT_ONCE)


def measure_lane(lane: Lane, shell: Shell) -> list[Measured]:
    """Measure one datastore of the host after the other; when it does not answer, the others are not tried."""
    found: list[Measured] = []
    gone: Unreachable | None = None
    for datastore, driver in lane:
        try:
            found.append((datastore, gone or measure(driver, shell)))
        except Exception as error:  # told by who waits for it
            gone = error if isinstance(error, Unreachable) else None
            found.append((datastore, error))
    return found


def of_lane(lane: Lane, answer: list[Measured] | Exception) -> list[Measured]:
    """Return what was found of each datastore of a lane: the same of all when the host could not be asked."""
    return [(datastore, answer) for datastore, _ in lane] if isinstance(answer, Exception) else answer


def remember(datastore: Datastore, found: Measure | Exception) -> bool:
    """Store what was found. False: the datastore could not be read, and says why."""
    if isinstance(found, Measure):
        remember_measure(datastore, found)
        sample_datastore(datastore, found.capacity)
        return True
    if isinstance(found, CloudstoreError):
        remember_unmeasured(datastore, found)
        quarantine_after(found)
        logger.warning("datastore %s cannot be measured: %s", datastore, found)
    else:
        logger.error("a defect in measuring the datastore %s", datastore, exc_info=found)
    return False


def read_hosts() -> int:
    """Read the facts of every host that has been onboarded, also of those that did not answer last time."""
    return ask_to_read(Host.objects.filter(state__in=[HostState.READY, HostState.UNREACHABLE]))


def find_again() -> int:
    """Read the hosts that did not answer last time, as soon as they do; return how many do.

    Until then no job is taken for them. A few at a time: each that is still away takes as long as a connection may.
    """
    lost = list(Host.objects.filter(state=HostState.UNREACHABLE, maintenance=False).order_by("?")[:MEASURED_AT_ONCE])
    connect = connector()
    answers = list(measurers().each(lost, lambda host: partial(knock, connect(host.name))))
    for host, error in answers:
        if isinstance(error, CloudstoreError):
            quarantine_after(error)
        elif error:
            logger.error("a defect in knocking at %s", host, exc_info=error)
    return ask_to_read(Host.objects.filter(pk__in=[host.pk for host, error in answers if not error]))


def knock(shell: Shell) -> None:
    """Find out whether the host answers. Knows no database."""
    shell.run(Command(("true",), root=False, timeout=10))


def sample_hosts() -> int:
    """Take a sample of every host that may be spoken to; return how many answered.

    One that does not is read at once, unless it was just put in quarantine: else jobs would be taken for it until its
    facts are due.
    """
    return take_samples(lambda host: ask_to_read(Host.objects.filter(pk=host.pk, state=HostState.READY)))


def ask_to_read(hosts: QuerySet[Host]) -> int:
    """Ask for a job for each host that has been onboarded, unless there is one; return how many were asked for."""
    asked = 0
    for host in hosts.exclude(facts_at=None):
        if Job.objects.filter(host=host, kind="host.read", ended_at=None).exists():
            continue
        try:
            submit("host.read", user=None, host=host)
            asked += 1
        except CloudstoreError as error:  # busy, or not to be spoken to; that holds up nobody else
            logger.info("host %s is not read this time: %s", host, error)
    return asked


def forget_reads() -> int:
    """Delete the jobs of the schedule that found nothing to change, after a while. Their audit entries stay."""
    unremarkable = Job.objects.filter(
        kind="host.read",
        user=None,
        user_label="cloudstore",
        state=JobState.SUCCEEDED,
        ended_at__lt=timezone.now() - timedelta(days=settings.value("keep_reads_days")),
    ).exclude(steps__state=StepState.CHANGED)
    forgotten = 0
    while keys := list(unremarkable.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE]):
        Job.objects.filter(pk__in=keys).delete()
        forgotten += len(keys)
    return forgotten

"""A duty of the schedule: how full datastores are on hosts that have a file system of their own for them."""

from __future__ import annotations

import functools
import logging
from functools import partial

from django.utils import timezone

from datastores.domain.errors import CloudstoreError
from datastores.domain.states import HostState, ObjectState
from datastores.domain.volumes import Capacity
from datastores.jobs.background import Background
from datastores.jobs.connections import connector
from datastores.jobs.quarantine import quarantine_after
from datastores.models import DatastoreHost
from datastores.services.disk_hosts import LYING
from datastores.services.placing import driver_of, look_up_hosts

logger = logging.getLogger(__name__)
AT_ONCE = 16
"""Hosts that are asked side by side."""


@functools.cache
def askers() -> Background:
    return Background("rooms", AT_ONCE)


def measure_rooms() -> int:
    """Measure what datastores have on hosts beside the storage host; return of how many that is known now."""
    usable = {"host__state": HostState.READY, "host__maintenance": False, "datastore__state": ObjectState.READY}
    rows = DatastoreHost.objects.filter(position__gt=0, datastore__kind__in=LYING, **usable)
    members = list(rows.select_related("datastore", "host").order_by("pk"))
    look_up_hosts(member.datastore for member in members)
    connect = connector()

    def prepare(member: DatastoreHost) -> partial[Capacity]:
        name = member.host.name
        return partial(driver_of(member.datastore).at(name).capacity, connect(name))

    return sum(remember(*found) for found in askers().each(members, prepare))


def remember(member: DatastoreHost, found: Capacity | Exception) -> bool:
    """Store what was found. False: it could not be read; what was known stays, with its time."""
    if isinstance(found, Capacity):
        seen = {"total": found.total, "used": found.used, "free": found.free, "measured_at": timezone.now()}
        DatastoreHost.objects.filter(pk=member.pk).update(**seen)
        return True
    if isinstance(found, CloudstoreError):
        quarantine_after(found)
        logger.warning("%s cannot be measured: %s", member, found)
    else:
        logger.error("a defect in measuring %s", member, exc_info=found)
    return False

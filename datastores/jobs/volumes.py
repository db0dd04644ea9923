"""A duty of the schedule: what the volumes of datastores are made of, read of each again and again."""

from __future__ import annotations

import functools
import logging
from functools import partial

from datastores.domain.errors import CloudstoreError
from datastores.domain.plan import Shell
from datastores.domain.states import HostState, ObjectState
from datastores.drivers.registry import DRIVERS
from datastores.hosts.gluster_seen import VolumeKnown, VolumeSeen
from datastores.jobs.background import Background
from datastores.jobs.connections import connector
from datastores.jobs.quarantine import quarantine_after
from datastores.models import Datastore
from datastores.services.volumes import remember_unread, remember_volume, volume_of

logger = logging.getLogger(__name__)
AT_ONCE = 8
"""Volumes that are read side by side; a host whose peers are away answers late."""
WITH_BRICKS = tuple(kind for kind, driver in DRIVERS.items() if driver.has_bricks)


@functools.cache
def readers() -> Background:
    return Background("volumes", AT_ONCE)


def read_volumes() -> int:
    """Read the volume of every datastore in use whose storage host may be spoken to; return how many could be."""
    usable = {"members__position": 0, "members__host__state": HostState.READY, "members__host__maintenance": False}
    rows = Datastore.objects.filter(state=ObjectState.READY, kind__in=WITH_BRICKS, **usable)
    connect = connector()

    def prepare(datastore: Datastore) -> partial[VolumeSeen]:
        driver = volume_of(datastore)
        return partial(look, VolumeKnown(driver.host, driver.volume), connect(driver.host))

    return sum(remember(*found) for found in readers().each(list(rows), prepare))


def look(step: VolumeKnown, shell: Shell) -> VolumeSeen:
    return step.facts(shell.run_many(step.reads()))


def remember(datastore: Datastore, found: VolumeSeen | Exception) -> bool:
    """Store what was found. False: the volume could not be read, and says why."""
    if isinstance(found, VolumeSeen):
        remember_volume(datastore.pk, found)
        return True
    if isinstance(found, CloudstoreError):
        remember_unread(datastore.pk, str(found))
        quarantine_after(found)
        logger.warning("the volume of %s cannot be read: %s", datastore, found)
    else:
        logger.error("a defect in reading the volume of %s", datastore, exc_info=found)
    return False

"""What jobs find out about hosts: one of which a job hears nothing is read at once, not when its turn comes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db import DatabaseError

from datastores.domain.states import HostState
from datastores.jobs.periodic import ask_to_read
from datastores.jobs.volumes import read_volumes
from datastores.models import Brick, Duty, Host

logger = logging.getLogger(__name__)


def doubt(names: Iterable[str]) -> None:
    """Have these hosts read, of those that are taken for ready: that tells their state, their alert and their page.

    The volumes of which they have bricks are read with the next look at the duties.
    """
    try:
        hosts = Host.objects.filter(name__in=set(names), state=HostState.READY)
        if Brick.objects.filter(host__in=hosts).exists():
            Duty.hasten(read_volumes.__name__)
        ask_to_read(hosts)
    except DatabaseError as error:  # the job that noticed goes on; the next sample will notice, too
        logger.warning("hosts that do not answer are not read yet: %s", error)

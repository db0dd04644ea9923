"""What jobs find out about hosts: one of which a job hears nothing is read at once, not when its turn comes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db import DatabaseError

from datastores.domain.states import HostState
from datastores.jobs.periodic import ask_to_read
from datastores.models import Host

logger = logging.getLogger(__name__)


def doubt(names: Iterable[str]) -> None:
    """Have these hosts read, of those that are taken for ready: that tells their state, their alert and their page."""
    try:
        ask_to_read(Host.objects.filter(name__in=set(names), state=HostState.READY))
    except DatabaseError as error:  # the job that noticed goes on; the next sample will notice, too
        logger.warning("hosts that do not answer are not read yet: %s", error)

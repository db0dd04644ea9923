"""A duty of the schedule: copies that no disk will be made over leave the caches of hosts."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from datastores.domain.errors import CloudstoreError
from datastores.domain.states import ObjectState
from datastores.jobs.submit import submit
from datastores.services.cache_jobs import unneeded

logger = logging.getLogger(__name__)
PAUSE = timedelta(minutes=15)
"""How long a copy that could not be made, or could not be removed, is left alone."""
AT_ONCE = 50
"""Copies that are evicted in one turn."""


def tidy_caches() -> int:
    """Have the copies evicted of images that were deleted or changed, and what is left of failures; return how many."""
    asked = 0
    for copy in unneeded()[:AT_ONCE]:
        if (copy.error or copy.state == ObjectState.ERROR) and copy.used_at > timezone.now() - PAUSE:
            continue
        try:
            submit("cache.evict", user=None, params={"copy": copy.pk})
            asked += 1
        except CloudstoreError as error:  # somebody else was first, or the host is away; that holds up no other
            logger.info("%s is not evicted this time: %s", copy, error)
    return asked

"""Which hosts see their datastores: what is to be looked at, and what was found."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from datastores.domain.errors import CloudstoreError
from datastores.domain.states import ObjectState
from datastores.hosts.sights import Sight
from datastores.models import Datastore, DatastoreHost
from datastores.services.placing import IN_ORDER, driver_on

logger = logging.getLogger(__name__)
Wanted = dict[int, dict[int, Sight]]
"""By host, what it has to see, by the key of the membership that says so."""


def wanted_sights() -> Wanted:
    """Return what each host has to see of the datastores that it only uses, with a constant number of queries."""
    used = Datastore.objects.filter(state=ObjectState.READY, members__position__gt=0).distinct()
    wanted: Wanted = {}
    for datastore in used.order_by("pk").prefetch_related(IN_ORDER):
        names = [member.host.name for member in datastore.in_order]
        try:
            driver = driver_on(datastore, names)
        except CloudstoreError as error:  # measuring it says so, too
            logger.info("nobody looks for the datastore %s on its hosts: %s", datastore, error)
            continue
        for member in datastore.in_order:
            if sight := driver.sight(member.host.name):
                wanted.setdefault(member.host_id, {})[member.pk] = sight
    return wanted


def remember_sights(found: Mapping[int, str | None], at: datetime) -> None:
    """Store why each membership's host does not see the datastore; None: it is not known, and stays as it was."""
    known = {key: why for key, why in found.items() if why is not None}
    with transaction.atomic():
        rows = list(DatastoreHost.objects.filter(pk__in=known).only("unseen").order_by())
        changed = [row for row in rows if row.unseen != known[row.pk]]
        for row in changed:
            row.unseen = known[row.pk]
        DatastoreHost.objects.bulk_update(changed, ["unseen"], batch_size=200)
        DatastoreHost.objects.filter(pk__in=[row.pk for row in rows]).update(looked_at=at)

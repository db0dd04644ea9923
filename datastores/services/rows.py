"""Rows that people change from a page: only as they saw them."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from datastores.domain.errors import ChangedSince, Refused
from datastores.models import Cluster, Datastore, Host, Image, NotificationTarget
from datastores.services.since import by_whom, changed_fields, last_change

Row = Cluster | Datastore | Host | Image | NotificationTarget


def change_row(row: Row, version: int, **changes: Any) -> None:
    """Write these columns, and no others, only if nobody else changed the row since the person saw it.

    :raises Refused: somebody did, or deleted it.
    """
    found = type(row)._default_manager.filter(pk=row.pk, version=version)
    if not found.update(version=F("version") + 1, **changes):
        raise changed_since(row)


def changed_since(row: Row) -> Refused:
    """Return why the row cannot be changed as the person saw it."""
    known = type(row)._default_manager.filter(pk=row.pk).first()  # ``row`` has the new name already
    if known is None:
        return Refused(f"{row} is gone.")
    entry = last_change(known)
    fields = f" ({', '.join(changed_fields(entry))})" if entry and changed_fields(entry) else ""
    who = by_whom(entry) or " by somebody else meanwhile"
    return ChangedSince(f"{known} was changed{who}{fields}. Load the page again to see it, then repeat your change.")

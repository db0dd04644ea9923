"""Rows that people change from a page: only as they saw them."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from datastores.domain.errors import Refused
from datastores.models import Cluster, Datastore, Host, Image, NotificationTarget

Row = Cluster | Datastore | Host | Image | NotificationTarget


def change_row(row: Row, version: int, **changes: Any) -> None:
    """Write these columns, and no others, only if nobody else changed the row since the person saw it.

    :raises Refused: somebody did, or deleted it.
    """
    found = type(row)._default_manager.filter(pk=row.pk, version=version)
    if not found.update(version=F("version") + 1, **changes):
        known = type(row)._default_manager.filter(pk=row.pk).first()  # ``row`` has the new name already
        raise Refused(
            f"{known} was changed by somebody else meanwhile. Load the page again to see it, then repeat your change."
            if known else f"{row} is gone."
        )  # fmt: skip

"""The one entry point to rows on behalf of a person."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models

from datastores.models.users import User


class VisibleQuerySet(models.QuerySet[Any]):
    """Rows that a person may know of. ``owner_path`` leads to the owning user; "" means: not for tenants."""

    owner_path: ClassVar[str] = ""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        if user.sees_everything:
            return self
        return self.filter(**{self.owner_path: user}) if self.owner_path else self.none()


MANY = 100


def among(rows: models.QuerySet[Any], column: str, wanted: Collection[Any]) -> models.QuerySet[Any]:
    """Return the rows that have one of the values in the column; of many, all rows there are.

    To name hundreds takes longer than to read the others as well, so whoever asks has to leave those out.
    """
    return rows if len(wanted) > MANY else rows.filter(**{f"{column}__in": wanted})


class OwnedQuerySet(VisibleQuerySet):
    """Rows with an ``owner``."""

    owner_path = "owner"

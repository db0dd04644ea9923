"""Views of lists that people keep."""

from __future__ import annotations

from django.db import models

from datastores.models.users import User


class SavedView(models.Model):
    """What a person chose over a list, under a name: its filter, its order, its columns."""

    user = models.ForeignKey(User, models.CASCADE, related_name="saved_views")
    list = models.CharField(max_length=20)
    """The name of the list: "images"."""
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2000)
    """The part of the list's address after the question mark."""

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "list", "name"], name="savedview_name_once")]

    def __str__(self) -> str:
        return self.name

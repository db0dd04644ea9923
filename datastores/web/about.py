"""What a job is about, as links to the pages of these things."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Model
from django.urls import reverse

from datastores.models import Datastore, Disk, Host, Image, Job, User, VirtualMachine

PAGES: tuple[tuple[str, str, type[Model], bool], ...] = (
    ("disk", "disk", Disk, False),
    ("vm", "virtual machine", VirtualMachine, False),
    ("image", "image", Image, False),
    ("datastore", "datastore", Datastore, True),
    ("host", "host", Host, True),
)
"""Target and page, noun, model, and whether only those who see everything have the page; what is made comes first."""


@dataclass(frozen=True, slots=True)
class Thing:
    noun: str
    name: str
    url: str


def things_of(job: Job, user: User) -> Iterator[Thing]:
    """Yield what the job is about, of what is there and the person may see; a query for each."""
    for target, noun, model, is_for_staff in PAGES:
        key = getattr(job, f"{target}_id")
        if key is None or (is_for_staff and not user.sees_everything):
            continue
        row = model._default_manager.visible_to(user).filter(pk=key).first()  # type: ignore[attr-defined]
        if row is not None:
            yield Thing(noun, str(row), reverse(target, args=[key]))

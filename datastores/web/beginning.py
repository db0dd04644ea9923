"""The way from nothing to the first clone, as far as it has been gone: read from the rows, never remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db.models import Model
from django.urls import reverse

from datastores.domain.states import JobState, ObjectState
from datastores.models import Datastore, Disk, Host, HostKey, Image, Job, User
from datastores.web.access import ADMINS, OWNERS

HIDDEN = "beginning_hidden"
"""In the session of whoever does not want to be guided."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Something to do on the way. ``button``: its label, ``url``: where it is done."""

    title: str
    text: str
    done: bool
    button: str
    url: str
    roles: frozenset[User.Role] = ADMINS
    under_way: bool = False
    """It was begun, and is not as it should be yet: the button leads to what there is of it."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The whole way."""

    stages: Sequence[Stage]

    @property
    def next(self) -> Stage | None:
        """The first thing that is not done; None: all is."""
        return next((stage for stage in self.stages if not stage.done), None)

    @property
    def done(self) -> int:
        return sum(stage.done for stage in self.stages)


def first_disk_is_made() -> bool:
    """Tell whether a disk is, or was once, made of an image: who got there needs no guide."""
    made = Job.objects.filter(kind="disk.create", state=JobState.SUCCEEDED, ended_at__isnull=False)
    return any((Disk.objects.filter(state=ObjectState.READY).exists(), made.exists()))


def beginning() -> Beginning:
    """Return the way as it is now; twelve small queries."""
    return Beginning((*host_stages(), *storage_stages()))


def host_stages() -> Iterator[Stage]:
    hosts = Host.objects.order_by("pk")
    pinned = HostKey.objects.filter(pinned_at__isnull=False)
    any_host, any_key = hosts.exists(), pinned.exists()
    read = hosts.filter(facts_at__isnull=False).exists()
    new = hosts.filter(facts_at=None)
    strange = new.exclude(pk__in=pinned.values("host")).first()
    known = new.filter(pk__in=pinned.values("host")).first()
    yield Stage(
        "Add a host",
        "A storage server or a hypervisor: its address, and an account. Nothing is sent to it yet.",
        any_host, "Add your first host", reverse("host-new"),
    )  # fmt: skip
    yield Stage(
        "Pin its key",
        "cloudstore reads the host's public key; you compare it with what the host's console shows.",
        read or any_key, "Compare its key", page_of("host", strange, "host-list"),
    )  # fmt: skip
    yield Stage(
        "Onboard it",
        "The first login: what it is and has is read. Nothing else is changed but the key that lets cloudstore in.",
        read, "Onboard it", page_of("host", known or strange, "host-list"),
    )  # fmt: skip


def storage_stages() -> Iterator[Stage]:
    yield made_of(
        Datastore, "datastore", "datastore-new", ADMINS,
        ("Make a datastore", "A directory on that host. You see every command, for every host, before it is run."),
    )  # fmt: skip
    yield made_of(
        Image, "image", "image-register", OWNERS,
        ("Register an image", "A file that is on the host already is inspected, then copied."),
    )  # fmt: skip
    image = Image.objects.filter(state=ObjectState.READY).order_by("pk").first()
    yield Stage(
        "Make the first disk of it",
        "One for a machine, or a thousand for a thousand machines; clones take milliseconds.",
        first_disk_is_made(), "Create disks", page_of("image", image, "image-list"), OWNERS,
    )  # fmt: skip


def made_of(
    model: type[Datastore] | type[Image], page: str, form: str, roles: frozenset[User.Role], words: tuple[str, str]
) -> Stage:
    """Return the stage in which something is made by a job: there may be one that has not become ready."""
    ready = model.objects.filter(state__in=(ObjectState.READY, ObjectState.IN_USE)).exists()
    newest = model.objects.order_by("-pk").first()  # asked for in any case: a page costs the same whatever there is
    unready = None if ready else newest
    url = page_of(page, unready, form)
    button = f"Look at {unready}" if unready else words[0]
    return Stage(*words, ready, button, url, roles, under_way=unready is not None)


def page_of(name: str, row: Model | None, otherwise: str) -> str:
    return reverse(name, args=[row.pk]) if row else reverse(otherwise)

"""What every page shows around its content."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import resolve, reverse
from django.utils.functional import SimpleLazyObject

from datastores.domain.states import UNDER_WAY
from datastores.models import Job, User
from datastores.services import settings
from datastores.services.counts import Count, counts

KEYS = {
    "overview": "o", "datastore-list": "d", "image-list": "i", "vm-list": "v", "host-list": "h", "cluster-list": "c",
    "job-list": "j", "audit-list": "a",
}  # fmt: skip
"""The key after "g" that leads to a page of the navigation."""
ACTIONS = (
    ("Register image", "upload", "image-register"),
    ("New data block", "plus-lg", "image-block"),
    ("New context CD", "disc", "image-context"),
    ("New virtual machine", "pc-display", "vm-new"),
    ("New datastore", "hdd-stack", "datastore-new"),
    ("Add host", "server", "host-new"),
    ("New cluster", "diagram-3", "cluster-new"),
    ("New user", "person-plus", "user-new"),
    ("Store a key", "key", "credential-new"),
    ("Getting started", "flag", "begin"),
)
"""What the palette offers on every page to those who may: words, icon, and the address of a page."""


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the side navigation."""

    name: str
    """Of its address."""
    label: str
    icon: str
    url: str
    here: bool
    count: Count | None = None
    key: str = ""
    """What leads there after "g"."""


def chrome(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Nothing is counted before a template asks."""
    brand = {"brand": SimpleLazyObject(lambda: settings.values_of("branding"))}
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return brand
    return {
        **brand,
        "navigation": functools.partial(navigation, request.path, user),
        "actions": functools.partial(actions, user),
        "running_jobs": lambda: Job.objects.visible_to(user).filter(state__in=UNDER_WAY).count(),
    }


def actions(user: User) -> list[tuple[str, str, str]]:
    """Return (words, icon, address) of the actions that the views themselves would let the person begin."""
    urls = ((words, icon, reverse(name)) for words, icon, name in ACTIONS)
    return [(words, icon, url) for words, icon, url in urls if user.role in resolve(url).func.rule.read]  # type: ignore[attr-defined]


def navigation(path: str, user: User) -> Iterator[tuple[str, list[Link]]]:
    """Yield (title of the group, its links) for what the person may see."""
    counted = counts(user)

    def link(label: str, icon: str, name: str) -> Link:
        url = reverse(name)
        here = path.startswith(url) if url != "/" else path == url
        return Link(name, label, icon, url, here, counted.get(name), KEYS.get(name, ""))

    yield "", [link("Overview", "speedometer2", "overview")]
    storage = [link("Datastores", "hdd-stack", "datastore-list")] if user.sees_everything else []
    yield (
        "Storage",
        [
            *storage,
            link("Images", "disc", "image-list"),
            link("Virtual machines", "pc-display", "vm-list"),
            link("Disks", "device-hdd", "disk-list"),
        ],
    )
    if user.sees_everything:
        yield (
            "Infrastructure",
            [
                link("Hosts", "server", "host-list"),
                link("Clusters", "diagram-3", "cluster-list"),
                link("Drift", "shuffle", "drift-list"),
            ],
        )
    alerts = [link("Alerts", "bell", "alert-list")] if user.sees_everything else []
    yield "Work", [link("Jobs", "list-task", "job-list"), *alerts, link("Audit", "journal-check", "audit-list")]
    if links := administration(user, link):
        yield "Administration", links


def administration(user: User, link: Callable[..., Link]) -> list[Link]:
    """Return what an admin looks after; an auditor may read the settings."""
    settings_ = link("Settings", "sliders", "settings")
    if user.role != User.Role.ADMIN:
        return [settings_] if user.role == User.Role.AUDITOR else []
    queues = link("Queues", "stack", "queues")
    return [link("Users", "people", "user-list"), link("Credentials", "key", "credential-list"), settings_, queues]

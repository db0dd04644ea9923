"""Drift as people read it: what differs, what would put it right, and what to do where no step can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from datastores.models import Drift, DriftScan, User
from datastores.web.plans import Statement, statement

NAMED = 5
"""Differences that the page of a thing names."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do by hand, and where."""

    words: str
    links: tuple[tuple[str, str], ...] = ()
    """(label, address)."""


def notes_on(user: User, **subject: Any) -> dict[str, Any]:
    """Return the open drift of a thing for its page: the newest ones, and how many there are."""
    if not user.sees_everything:
        return {"drift": []}
    found = list(Drift.objects.visible_to(user).open().filter(**subject).select_related("host")[: NAMED + 1])
    return {"drift": found[:NAMED], "drift_more": len(found) > NAMED}


def shown(drift: Drift) -> Statement | None:
    """Return the difference as a plan page shows it; None: there is nothing that a step would do."""
    return statement(drift, drift.change) if drift.change else None


def latest_scans() -> dict[str, Any]:
    """Return the scan that is asked for or under way, and the last one that has ended."""
    scans = list(DriftScan.objects.select_related("asked_by")[:3])
    under_way = next((scan for scan in scans if scan.ended_at is None), None)
    return {"under_way": under_way, "last": next((scan for scan in scans if scan.ended_at), None)}


def advice(drift: Drift) -> Advice:
    """Return what to do about a difference that no step can put right."""
    makers = {
        Drift.Kind.MISSING: missing, Drift.Kind.ALTERED: altered, Drift.Kind.FOREIGN: foreign,
        Drift.Kind.BLOCKED: blocked,
    }  # fmt: skip
    maker = makers.get(Drift.Kind(drift.kind))
    return maker(drift) if maker else Advice("")


def subject_link(drift: Drift) -> tuple[tuple[str, str], ...]:
    """Return where to look at what the statement is about."""
    if drift.image_id:
        return (("See what depends on the image", reverse("image", args=[drift.image_id])),)
    if drift.disk_id:
        return (("See the disk", reverse("disk", args=[drift.disk_id])),)
    if drift.datastore_id:
        return (("See the datastore", reverse("datastore", args=[drift.datastore_id])),)
    return (("See the host", reverse("host", args=[drift.host_id])),) if drift.host_id else ()


def missing(drift: Drift) -> Advice:
    if drift.image_id:
        words = (
            "cloudstore has no other copy of these bytes. Put the file back from a backup, at the same path, with the "
            "same owner and mode; or look whether somebody moved it. Overlays and links of this image do not work "
            "until then; clones that share blocks and full copies are whole."
        )
    elif drift.disk_id is None:
        words = (
            "Log in to the host and look what the directory lies on. When the file system is mounted again, the next "
            "scan sees the files, and this goes by itself. Until then nothing is said of each file."
        )
    else:
        words = (
            "cloudstore has no other copy of these bytes. Put the file back from a backup at the same path; or delete "
            "the disk, and make another one of its image."
        )
    return Advice(words, subject_link(drift))


def altered(drift: Drift) -> Advice:
    words = (
        "Find out who wrote to it: the audit trail tells what people did here, the host's own logs the rest. Put back "
        "what it was from a backup, or accept it as it is. What stands on this file (overlays) is damaged when its "
        "bytes have changed; what was copied or cloned from it before is whole."
    )
    return Advice(words, (*subject_link(drift), ("See the audit trail", reverse("audit-list"))))


def foreign(drift: Drift) -> Advice:
    words = (
        "cloudstore neither uses nor removes what it did not make. Look at these files on the host. One that is an "
        "image can be registered from an allowed directory; one that nobody wants is removed by hand."
    )
    return Advice(words, subject_link(drift))


def blocked(drift: Drift) -> Advice:
    words = "No step of cloudstore can put this right. Do on the host what is said above; the next scan sees it."
    return Advice(words, subject_link(drift))

"""The figures of the overview, from the rows that the person may see."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Exists, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from datastores.domain.figures import percentile
from datastores.domain.growth import Growth
from datastores.domain.states import ENDED, UNDER_WAY, HostState, JobState
from datastores.jobs.kinds import KINDS
from datastores.jobs.view import DONE
from datastores.models import Datastore, DatastoreHost, Drift, Host, Job, User
from datastores.models.jobs import HAS_ENDED, UNDO_ASKED, WAS_UNDONE
from datastores.models.visibility import among
from datastores.services.counts import TROUBLED
from datastores.web import facts
from datastores.web.alerts import Concern, attention

DAY = timedelta(hours=24)
MOST_CLONES = 1000
"""Clones of which the percentiles are computed, the newest."""
OPEN = [state.value for state in JobState if state not in ENDED]
ATTENTION = 8
NOT_SUCCEEDED = [state.value for state in JobState if state != JobState.SUCCEEDED]
NOT_FAILED = [state.value for state in JobState if state not in {JobState.FAILED, JobState.ERRORED}]
MOST_PLANS = 3
"""Plans that wait for approval and are told of one by one."""


def clone_seconds(user: User) -> dict[str, Any]:
    """Return how long disks took from the click to ready in the last day; ``bounded``: there may have been more."""
    since = timezone.now() - DAY
    jobs = Job.objects.visible_to(user).filter(kind="disk.create", state=JobState.SUCCEEDED, ended_at__gte=since)
    times = jobs.order_by("-ended_at").values_list("created_at", "ended_at")[:MOST_CLONES]
    seconds = [(ended - created).total_seconds() for created, ended in times]
    figures = {f"p{percent}": percentile(seconds, percent) if seconds else None for percent in (50, 95)}
    return figures | {"count": len(seconds), "bounded": len(seconds) == MOST_CLONES}


def job_counts(user: User) -> dict[str, int]:
    """Return how many jobs ended in the last day, by how; ``total``: with those that have not ended."""
    since = timezone.now() - DAY
    states = {state: Q(state=state) for state in ("succeeded", "failed", "errored")}
    states |= {"undone": WAS_UNDONE, "cancelled": Q(state=JobState.CANCELLED) & ~WAS_UNDONE}
    counts = {word: Count("pk", filter=which) for word, which in states.items()}
    jobs = Job.objects.visible_to(user)
    found = jobs.filter(ended_at__gte=since).aggregate(total=Count("pk"), **counts)
    return found | {"total": found["total"] + jobs.filter(state__in=OPEN).count()}


def host_counts() -> dict[str, int]:
    ready = Count("pk", filter=Q(state=HostState.READY, maintenance=False))
    return Host.objects.aggregate(total=Count("pk"), ready=ready, troubled=Count("pk", filter=TROUBLED))


def space(datastores: list[Datastore]) -> dict[str, Any]:
    """Return the bytes of all measured datastores together, those of a file system once."""
    measured = [datastore for datastore in datastores if datastore.total]
    places = {datastore.pk: place for datastore, place in zip(measured, file_systems(measured), strict=True)}
    oldest_first = sorted(measured, key=lambda each: each.measured_at.timestamp() if each.measured_at else 0.0)
    once = {places[datastore.pk]: datastore for datastore in oldest_first}.values()
    total = sum(datastore.total or 0 for datastore in once)
    used = sum(datastore.used or 0 for datastore in once)
    promised = sum(datastore.promised for datastore in measured)
    return {
        "total": total, "used": used, "promised": promised,
        "unseen": sum(datastore.unseen for datastore in datastores),
        "used_percent": round(100 * used / total) if total else 0,
        "promised_percent": round(100 * promised / total) if total else 0,
        "growth": together({places[each.pk]: each.growth for each in measured if grows(each)}.values()),
        "measured_at": min((each.measured_at for each in measured if each.measured_at), default=None),
    }  # fmt: skip


def together(growths: Iterable[Growth]) -> Growth:
    """Return the pace of them all."""
    paces = [each.bytes_per_day or 0.0 for each in growths]
    return Growth(sum(paces) if paces else None)


def grows(datastore: Datastore) -> bool:
    """Tell whether it is known how fast it fills."""
    return hasattr(datastore, "growth") and datastore.growth.bytes_per_day is not None


def file_systems(datastores: list[Datastore]) -> list[tuple[Any, ...]]:
    """Return what tells the file system of each datastore from others: the storage host, the mount point, the size.

    Where the mount point is not known, what is free goes for it.
    """
    members = among(DatastoreHost.objects.filter(position=0).order_by(), "datastore", datastores)
    hosts = dict(members.values_list("datastore_id", "host_id"))
    known = facts.mount_points(set(hosts.values()))
    places: list[tuple[Any, ...]] = []
    for datastore in datastores:
        host = hosts.get(datastore.pk)
        mounted = facts.mount_point(datastore.base, known.get(host, ())) if host else ""
        places.append((host or f"{datastore.pk}", mounted or datastore.free, datastore.total))
    return places


def promised_percent(datastore: Any) -> int:
    """Return the share that is promised beyond what is used; the figures are those of ``add_space``."""
    return round(100 * datastore.promised / datastore.total) if datastore.total else 0


def concerns(user: User) -> list[Concern]:
    """Return what needs attention, the worst first."""
    found = attention(user) + drift_concerns(user) + plan_concerns(user)
    found += [job_concern(job) for job in troubled_jobs(user)]
    return sorted(found, key=lambda concern: concern.tone != "bad")


def plan_concerns(user: User) -> list[Concern]:
    """Return the plans that wait for approval, the newest first; one entry for all, where they are many."""
    waiting = Job.objects.visible_to(user).filter(state=JobState.AWAITING).order_by("-pk")
    shown = list(waiting[: MOST_PLANS + 1])
    if len(shown) <= MOST_PLANS:
        return [job_concern(job) for job in shown]
    url = f"{reverse('job-list')}?{urlencode({'state': JobState.AWAITING.value})}"
    name = f"{waiting.count()} plans wait for approval"
    return [Concern("warn", "hand-index", "awaiting approval", name, "Nothing has changed yet.", url, "See them all")]


def troubled_jobs(user: User) -> list[Job]:
    """Return those that are interrupted, then those that failed in the last day at what nobody has done since.

    The newest first, of both.
    """
    # states that it is not in: for one that it is in, SQLite reads all jobs that ever were in that
    later = Job.objects.filter(
        HAS_ENDED, ~Q(state__in=NOT_SUCCEEDED), kind=OuterRef("kind"), target_label=OuterRef("target_label"),
        pk__gt=OuterRef("pk"),
    )  # fmt: skip
    jobs = Job.objects.visible_to(user)
    undecided = jobs.filter(state=JobState.INTERRUPTED).order_by("-pk")[:ATTENTION]
    disputed = jobs.filter(UNDO_ASKED).select_related("undo_asked_by").order_by("-undo_asked_at")[: 4 * ATTENTION]
    # asked here: with a condition on the state, SQLite reads all jobs that succeeded
    asked = [job for job in disputed if job.state == JobState.SUCCEEDED]
    since = timezone.now() - DAY
    failed = jobs.filter(~Q(state__in=NOT_FAILED), ~Exists(later), ended_at__gte=since)
    lately = failed.order_by("-ended_at")[: 4 * ATTENTION]
    return [*undecided, *asked, *(job for job in lately if not is_settled(job))][:ATTENTION]


def is_settled(job: Job) -> bool:
    """Tell whether what a failed job was about is gone: somebody has deleted it since."""
    case = KINDS.get(job.kind)
    return case is not None and any(getattr(job, f"{name}_id") is None for name in case.targets)


def drift_concerns(user: User) -> list[Concern]:
    """Return one entry for all drift about which nobody has decided anything."""
    grave = Q(kind__in=[Drift.Kind.MISSING, Drift.Kind.ALTERED])
    found = Drift.objects.visible_to(user).open().aggregate(all=Count("pk"), lost=Count("pk", filter=grave))
    if not found["all"]:
        return []
    what = "1 statement is" if found["all"] == 1 else f"{found['all']} statements are"
    text = f"{what} not as cloudstore left them." if found["all"] > 1 else f"{what} not as cloudstore left it."
    text += f" Files are missing or were altered: {found['lost']}." if found["lost"] else ""
    tone = "bad" if found["lost"] else "warn"
    return [Concern(tone, "shuffle", "drift", "Hosts differ", text, reverse("drift-list"), "See what differs")]


def job_concern(job: Job) -> Concern:
    url = job.get_absolute_url()
    if job.state == JobState.AWAITING:
        return Concern("warn", "hand-index", "awaiting approval", job.title, "Nothing has changed yet.",
                       reverse("plan", args=[job.uuid]), "Look at the plan")  # fmt: skip
    if job.undo_asked_at and job.state == JobState.SUCCEEDED:
        text = f"{job.undo_asked_by or 'Somebody'} asked to take it back. Somebody else has to agree."
        return Concern("warn", "people", "asked to undo", job.title, text, url, "Agree or keep it")
    if job.state == JobState.INTERRUPTED:
        return Concern("warn", "plug", job.state, job.title, job.error, url, "Resume or undo")
    return Concern("bad", "x-lg", job.state, job.title, job.error, url, "See what was left")


def running(user: User) -> list[Job]:
    jobs = Job.objects.visible_to(user).filter(state__in=UNDER_WAY)
    steps = {"steps_total": Count("steps"), "steps_done": Count("steps", filter=Q(steps__state__in=DONE))}
    return list(jobs.annotate(**steps).order_by("-pk")[:ATTENTION])

"""The tray: what is under way, in a small panel over any page."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.states import UNDER_WAY, EventKind, JobState
from datastores.jobs.kinds import KINDS
from datastores.jobs.view import DONE, job_frame
from datastores.models import Job, JobEvent, User
from datastores.web.access import EVERYBODY, Request, roles

SHOWN = 8


@roles(read=EVERYBODY)
def tray(request: Request) -> HttpResponse:
    under_way = Job.objects.visible_to(request.user).filter(state__in=UNDER_WAY)
    jobs = [dressed(job, request.user) for job in with_progress(under_way)]
    more = under_way.count() - SHOWN if len(jobs) == SHOWN else 0
    return render(request, "datastores/_tray.html", {"jobs": jobs, "more": more})


def with_progress(under_way: Any) -> list[Any]:
    """Return a few of the jobs, those that wait for their turn last, with how far each has come."""
    waiting = Q(state=JobState.QUEUED)
    keys = [*under_way.exclude(waiting).order_by("-pk").values_list("pk", flat=True)[:SHOWN]]
    if len(keys) < SHOWN:
        keys += under_way.filter(waiting).order_by("-pk").values_list("pk", flat=True)[: SHOWN - len(keys)]
    began = JobEvent.objects.filter(job=OuterRef("pk"), kind=EventKind.ACTION_STARTED)
    figures = {
        "steps_total": Count("steps"),
        "steps_done": Count("steps", filter=Q(steps__state__in=DONE)),
        "bytes_done": Sum("steps__bytes_done", default=0),
        "bytes_total": Sum("steps__bytes_total", default=0),
        "touched": Exists(began),
    }
    found = Job.objects.defer("params").annotate(**figures).in_bulk(keys)
    return [found[key] for key in keys if key in found]


def dressed(job: Any, user: User) -> dict[str, Any]:
    """Return what the panel shows of a job. Bytes count while some are still to come, as on the job's page."""
    case = KINDS.get(job.kind)
    in_bytes = job.bytes_done < job.bytes_total
    return {
        "job": job,
        "can_cancel": case is not None and user.role in case.roles and job_frame(job, ())["can_cancel"],
        "in_bytes": in_bytes,
        "done": job.bytes_done if in_bytes else job.steps_done,
        "total": job.bytes_total if in_bytes else job.steps_total,
    }

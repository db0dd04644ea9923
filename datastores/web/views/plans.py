"""A job's plan, and its log as data."""

from __future__ import annotations

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render

from datastores.domain.states import JobState
from datastores.jobs.approval import eyes_on
from datastores.models import Job
from datastores.web import logs
from datastores.web.access import EVERYBODY, Request, roles, visible
from datastores.web.plans import as_shell, plan_view
from datastores.web.views.jobs import possible, visible_job

COMING = (JobState.QUEUED, JobState.PLANNING)
"""In these the page looks for itself: the plan may be made before the page hears of jobs."""


@roles(read=EVERYBODY)
def plan(request: Request, uuid: str) -> HttpResponse:
    job = visible_job(request, uuid)
    view = plan_view(job)
    context = {
        "job": job,
        "plan": view,
        "can": possible(request, job),
        "awaiting": job.state == JobState.AWAITING,
        "eyes": eyes_on(job, request.user) if job.state == JobState.AWAITING else None,
        "coming": job.state in COMING,
        "planned": job.state == JobState.AWAITING or job.approved_at,
        "shell": as_shell(view),
    }
    return render(request, "datastores/plan.html", context)


@roles(read=EVERYBODY)
def job_lines(request: Request, uuid: str) -> JsonResponse:
    return JsonResponse(logs.lines(visible(request, Job, uuid=uuid), request.GET))


@roles(read=EVERYBODY)
def job_search(request: Request, uuid: str) -> JsonResponse:
    return JsonResponse(logs.search(visible(request, Job, uuid=uuid), request.GET))


@roles(read=EVERYBODY)
def job_log(request: Request, uuid: str) -> StreamingHttpResponse:
    """The whole log as a text file; never shown by the browser as anything else."""
    job = visible(request, Job, uuid=uuid)
    headers = {
        "Content-Disposition": f'attachment; filename="cloudstore-job-{job.pk}.txt"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingHttpResponse(logs.download(job), content_type="text/plain; charset=utf-8", headers=headers)

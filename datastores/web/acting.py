"""What action views share: ask for a job, write a row with its audit entry, ask for the typed name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db import models
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from datastores.jobs.approval import waits
from datastores.jobs.submit import submit, submit_all
from datastores.models import Job
from datastores.models.audit import record
from datastores.web.access import Request, client_address, wants_json
from datastores.web.once import UNTOLD

ACCEPTED = 202


def start(
    request: Request,
    kind: str,
    params: dict[str, Any] | None = None,
    not_before: datetime | None = None,
    **targets: models.Model | None,
) -> Job:
    """Submit a job on behalf of the person, which may begin at once, or later.

    :raises CloudstoreError: refused.
    """
    asked = {"user": request.user, "address": client_address(request), "params": params, "not_before": not_before}
    return submit(kind, **asked, **targets)


def start_all(
    request: Request, kind: str, wanted: Iterable[Mapping[str, models.Model | None]], params: dict[str, Any]
) -> list[Job]:
    """Submit a job for each of the targets on behalf of the person: for all of them, or for none.

    :raises CloudstoreError: refused.
    """
    return submit_all(kind, wanted, user=request.user, address=client_address(request), params=params)


def started(request: Request, job: Job) -> HttpResponse:
    """Answer a request that became a job: the plan of one that waits for a person, else its page.

    A program is told its address.
    """
    if wants_json(request):
        return JsonResponse({"jobs": [job_line(job)]}, status=ACCEPTED)
    return redirect("plan", job.uuid) if waits(job) else redirect(job)


def job_line(job: Job) -> dict[str, Any]:
    return {"uuid": str(job.uuid), "url": job.get_absolute_url(), "disk": job.disk_id}


def note(request: Request, action: str, target: object, **detail: Any) -> None:
    """Write an audit entry for something that was done at once; belongs into the transaction of the change."""
    address = client_address(request)
    record(action, user=request.user, address=address, target=target, result="done", **detail)


def done(request: Request, words: str, to: Any, *arguments: Any) -> HttpResponse:
    """Go to a page with a message."""
    messages.success(request, words)
    return redirect(to, *arguments)


def ask_name(request: Request, name: str, question: str) -> HttpResponse | None:
    """Return None when the name was typed; otherwise the page that asks for it.

    The dialog in the browser sends it along (``data-confirm-name``); this page is for those without scripts.
    """
    typed = request.POST.get("confirm_name", "")
    if typed == name:
        return None
    context = {"name": name, "question": question, "wrong": bool(typed), "fields": other_fields(request)}
    return render(request, "datastores/confirm.html", context)


def other_fields(request: Request) -> list[tuple[str, str]]:
    """Return what was sent besides the name and the keys of the form, to be sent again."""
    skipped = {"confirm_name", *UNTOLD}
    return [(key, value) for key, values in request.POST.lists() if key not in skipped for value in values]

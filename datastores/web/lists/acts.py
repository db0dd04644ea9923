"""What can be done to many rows of a list at once: to each by itself, so that one refusal holds up no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from datastores.domain.errors import CloudstoreError
from datastores.jobs.approval import will_wait
from datastores.models import Job, User
from datastores.web.access import OWNERS, Request, wants_json
from datastores.web.acting import ACCEPTED, job_line

MOST_AT_ONCE = 500
NAMED = 20
"""Rows that are named before they are lost; the others are counted."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something to do to each of the chosen rows.

    ``do``: returns the job that it became, if any; raises CloudstoreError when it is refused. ``done``: what is told
    of the rows afterwards, "are being deleted". ``lost``: what is gone for ever; then the person types how many.
    """

    name: str
    label: str
    icon: str
    do: Callable[[Request, Any], Job | None]
    done: str
    roles: frozenset[User.Role] = OWNERS
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row: ``job`` when one was asked for, or why it was ``refused``."""

    key: int
    row: str
    job: Job | None = None
    refused: str = ""


def do_all(request: Request, act: Act, rows: Iterable[Any]) -> list[Outcome]:
    """Do it to one row after the other; a refused one stays as it is."""
    return [do_one(request, act, row) for row in rows]


def do_one(request: Request, act: Act, row: Any) -> Outcome:
    name = str(row)
    try:
        return Outcome(row.pk, name, act.do(request, row))
    except CloudstoreError as error:
        return Outcome(row.pk, name, refused=str(error))


def answer(request: Request, act: Act, outcomes: Sequence[Outcome], noun: str) -> HttpResponse:
    """Tell what became of the rows. ``noun``: of one and of many, "image,images"."""
    done = [each for each in outcomes if not each.refused]
    refused = [each for each in outcomes if each.refused]
    if wants_json(request):
        told = [{"id": each.key, "name": each.row, "error": each.refused} for each in refused]
        return JsonResponse({"jobs": [job_line(each.job) for each in done if each.job], "refused": told},
                            status=ACCEPTED)  # fmt: skip
    words = told_of(act, done, noun)
    if refused:
        page = {"act": act, "done": words if done else "", "outcomes": [*refused, *done], "refused": len(refused),
                "back": request.get_full_path()}  # fmt: skip
        return render(request, "datastores/acted.html", page, status=ACCEPTED if done else None)
    messages.success(request, words)
    return redirect(request.get_full_path())


def told_of(act: Act, done: Sequence[Outcome], noun: str) -> str:
    """Return what became of the rows that were not refused; what waits for approval has not been done."""
    waiting = sum(each.job is not None and will_wait(each.job) for each in done)
    begun = len(done) - waiting
    words = [f"{counted(begun, noun)} {act.done if begun != 1 else act.done.replace('are ', 'is ', 1)}."]
    plans = f"{act.label}: {counted(waiting, noun)} will wait for approval. Nothing changes before that."
    return " ".join(words * bool(begun or not waiting) + [plans] * bool(waiting))


def ask(request: Request, act: Act, rows: Sequence[Any], noun: str) -> HttpResponse | None:
    """Return None when the person typed how many; else the page that names what is lost, and asks."""
    what = f"{act.name} {counted(len(rows), noun)}"
    typed = request.POST.get("confirm_name", "")
    if typed == what:
        return None
    page = {
        "name": what, "question": act.lost, "wrong": bool(typed), "back": request.get_full_path(),
        "rows": rows[:NAMED], "more": max(0, len(rows) - NAMED),
        "fields": [("act", act.name), *(("pk", row.pk) for row in rows)],
    }  # fmt: skip
    return render(request, "datastores/confirm.html", page)


def counted(number: int, noun: str) -> str:
    """Return "1 image" or "1,200 images"."""
    one, many = noun.split(",")
    return f"{intcomma(number)} {one if number == 1 else many}"

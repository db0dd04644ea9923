"""Jobs: the list, the page of one, and what a person can do to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render

from datastores.domain.errors import BadInput, Refused
from datastores.domain.states import EventKind, JobState, Level, StepState
from datastores.domain.values import whole
from datastores.jobs import control
from datastores.jobs.approval import UNWATCHED, Eyes, eyes_on_undo
from datastores.jobs.ends import AGAIN
from datastores.jobs.kinds import KINDS
from datastores.jobs.view import job_frame
from datastores.models import Job, JobStep, User, words
from datastores.services.leases import waits_for
from datastores.services.usecase import UseCase
from datastores.web import logs
from datastores.web.about import things_of
from datastores.web.access import EVERYBODY, OWNERS, Request, client_address, roles, visible, wants_json
from datastores.web.acting import ACCEPTED, ask_name, done, job_line, started
from datastores.web.lists.acts import Act
from datastores.web.lists.columns import Column, Filter
from datastores.web.lists.fields import Anywhere, Choice, Moment, Owning, Text, Worded
from datastores.web.lists.rows import Rows
from datastores.web.sentences import kind_words

PARTS = ("state", "acts", "lanes")
"""The parts of the page that are asked for anew when the job's state changes."""
SAMPLE = 20
"""Jobs of a kind of which it is told how long they usually take."""
WAITS = "It is asked for. Somebody else has to agree before anything is taken back."
LEFT = (StepState.CHANGED, StepState.KEPT, StepState.UNKNOWN, StepState.FAILED, StepState.UNDONE)
"""States of steps that matter after something went wrong."""


def to_job(what: Callable[..., None]) -> Callable[[Request, Job], Job]:
    """Return what does something to one of many jobs."""

    def do(request: Request, job: Job) -> Job:
        if job.kind not in KINDS:
            raise Refused("This kind of job is not known any more.")
        what(job, request.user, client_address(request))
        return job

    return do


ASKER = Owning(User.objects.all(), "user", Text(("username",), "by:alice"))


@roles(read=EVERYBODY, write=OWNERS)
class JobList(Rows):
    model = Job
    noun = "job,jobs"
    acts = (
        Act("retry", "Try again", "arrow-clockwise", to_job(control.retry), "are tried again"),
        Act("cancel", "Cancel", "stop-circle", to_job(control.cancel), "are asked to stop",
            lost="They stop. What they did so far, if anything, is taken back in the opposite order."),
    )  # fmt: skip
    template_name = "datastores/job_list.html"
    row_template = "datastores/_job_row.html"
    same_for_all = True
    unread = ("params",)
    name = "jobs"
    search = Anywhere((Worded(words.JOBS.parts, "clone", words.JOBS), ASKER), "clone")
    fields = {
        "job": Worded(("title",), "job:clone", words.JOBS),
        "state": Choice("state", {state.value: state.value for state in JobState}, "state:failed"),
        "kind": Choice("kind", {kind: kind for kind in KINDS}, "kind:disk.create"),
        "about": Worded(("target_label",), "about:web", words.JOBS),
        "by": Text(("user_label",), "by:alice"),
        "error": Text(("error",), 'error:"no space"'),
        "asked": Moment("created_at", "asked:today"),
        "ended": Moment("ended_at", "ended<1h"),
    }
    default_sort = "-id"
    filters = (
        Filter("state", "state", tuple((state.value, state.value) for state in JobState)),
        Filter("kind", "kind", tuple((kind, kind_words(kind)) for kind in KINDS)),
    )
    columns = (
        Column("id", "ID", "pk", "pk", number=True),
        Column("job", "Job", "title", "title"),
        Column("state", "State", "state", "word"),
        Column("about", "About", "target_label", "target_label"),
        Column("by", "By", "user_label", "user_label"),
        Column("asked", "Asked", "created_at", "created_at"),
        Column("took", "Took", value="seconds", number=True),
        Column("kind", "Kind", "kind", "kind", shown=False),
        Column("error", "Error", value="error", shown=False),
    )

    def select_boxes(self) -> Sequence[Filter]:
        """That of kinds holds those of which the person may see jobs."""
        user = self.request.user
        own = {kind for kind, case in KINDS.items() if user.sees_everything or user.role in case.roles}
        state, kind = self.filters
        return state, replace(kind, choices=tuple(choice for choice in kind.choices if choice[0] in own))


@dataclass(frozen=True, slots=True)
class Possible:
    """Which buttons the job's page has now."""

    cancel: bool
    retry: bool
    resume: bool
    undo: bool
    plan: bool
    eyes: Eyes = UNWATCHED
    """Whom an undo needs."""
    begin: bool = False
    """It waits for a moment, and may begin now."""
    destroys: str = ""
    """The name of what an undo deletes, to be typed."""
    gone: str = ""
    """What is not there any more, so that the job can be neither tried again nor taken back."""


def possible(request: Request, job: Job) -> Possible:
    case = KINDS.get(job.kind)
    if case is None or request.user.role not in case.roles:
        return Possible(cancel=False, retry=False, resume=False, undo=False, plan=False)
    interrupted = job.state == JobState.INTERRUPTED
    undoable = job.state == JobState.SUCCEEDED or (interrupted and not job.undo_requested)
    gone = missing(case, job)
    undo = case.can_undo and undoable and not gone and not control.left_all_as_it_was(job)
    return Possible(
        cancel=job_frame(job, ())["can_cancel"],
        retry=job.state in control.TRY_AGAIN and not gone,
        resume=interrupted and not gone,
        undo=undo,
        plan=job.state == JobState.AWAITING,
        begin=job.is_early and job.state in {JobState.QUEUED, JobState.AWAITING},
        eyes=eyes_on_undo(job, request.user) if undo and not interrupted else UNWATCHED,
        destroys=case.destroyed_by_undo(job) if undo and not interrupted else "",
        gone=gone,
    )


def missing(case: UseCase, job: Job) -> str:
    """Return why the job cannot be tried again; nothing: all that it is about is there."""
    try:
        case.require_targets(job)
    except Refused as error:
        return str(error)
    return ""


def visible_job(request: Request, uuid: str) -> Job:
    return visible(request, Job, "user", "approved_by", "undo_asked_by", "host", uuid=uuid)


def waited_for_approval(job: Job) -> float | None:
    """Return how long after it was asked for its plan was approved; None: it needed none, or was tried again since."""
    return (job.approved_at - job.created_at).total_seconds() if job.approved_at and not job.retried_by_id else None


def usual_seconds(job: Job, user: User) -> float | None:
    """Return the median of how long the last jobs of this kind took of which the person may know."""
    jobs: Any = Job.objects
    ended = jobs.visible_to(user).filter(kind=job.kind, state=JobState.SUCCEEDED, ended_at__isnull=False)
    last = ended.filter(started_at__isnull=False).order_by("-ended_at")
    spans = [each.seconds for each in last.only("started_at", "queued_at", "ended_at", "resumed")[:SAMPLE]]
    took = [span for span in spans if span is not None]
    return median(took) if took else None


@roles(read=EVERYBODY)
def job_page(request: Request, uuid: str) -> HttpResponse:
    """The page; for htmx only the part that changes with the job's state."""
    job = visible_job(request, uuid)
    steps = list(job.steps.order_by("index").defer("change"))
    total, seq = logs.extent(job)
    part = request.GET.get("part", "")
    context = {
        "job": job,
        "kind": kind_words(job.kind),
        "frame": job_frame(job, steps),
        "lanes": lanes(job, steps),
        "can": possible(request, job),
        "refused": sum(bool(step.refused) for step in steps),
        "left": [(state, [step for step in steps if step.state == state]) for state in LEFT],
        "waits_for": waits_for(job, request.user) if job.state == JobState.QUEUED else [],
        "about": list(things_of(job, request.user)),
        "error": job.error.removesuffix(AGAIN),
        "waited": waited_for_approval(job),
        "usual": None if job.ended or part else usual_seconds(job, request.user),
        "total": total,
        "seq": seq,
        "levels": list(Level),
        "touched": bool(job.events.filter(kind=EventKind.ACTION_STARTED).exists()),
    }
    template = f"datastores/_job_{part}.html" if part in PARTS and request.htmx else "datastores/job.html"
    return render(request, template, context)


def lanes(job: Job, steps: list[JobStep]) -> list[tuple[dict[str, Any], list[JobStep]]]:
    """Return each host's state with its steps."""
    by_host: dict[str, list[JobStep]] = {}
    for step in steps:
        by_host.setdefault(step.host, []).append(step)
    return [(lane, by_host[lane["host"]]) for lane in job_frame(job, steps)["lanes"]]


def act(request: Request, uuid: str, what: Callable[..., None], words: str) -> HttpResponse:
    job = visible_job(request, uuid)
    what(job, request.user, client_address(request))
    return acted(request, job, words)


def acted(request: Request, job: Job, words: str) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"jobs": [job_line(job)]}, status=ACCEPTED)
    return done(request, words, job)


@roles(write=OWNERS)
def job_approve(request: Request, uuid: str) -> HttpResponse:
    """Approve the plan that the form names; one that a program asks for without a name is the one that is there."""
    given = request.POST.get("plan")
    plan = None if given is None else whole(given)
    if given is not None and plan is None:
        raise BadInput("plan is the number of the plan that was seen.")
    return act(request, uuid, partial(control.approve, plan=plan), "The plan is approved.")


@roles(write=OWNERS)
def job_cancel(request: Request, uuid: str) -> HttpResponse:
    job = visible_job(request, uuid)
    control.cancel(job, request.user, client_address(request))
    job.refresh_from_db()
    asked = "The job is asked to stop, and to take back what it did."
    return acted(request, job, f"The job is {job.word}." if job.ended else asked)


@roles(write=OWNERS)
def job_begin(request: Request, uuid: str) -> HttpResponse:
    return act(request, uuid, control.begin, "It begins as soon as a worker is free.")


@roles(write=OWNERS)
def job_retry(request: Request, uuid: str) -> HttpResponse:
    return act(request, uuid, control.retry, "Trying again; what is true already is left alone.")


@roles(write=OWNERS)
def job_undo(request: Request, uuid: str) -> HttpResponse:
    name = possible(request, visible_job(request, uuid)).destroys
    if name and (asked := ask_name(request, name, f"{name} is deleted, with everything that was written to it since.")):
        return asked
    job = visible_job(request, uuid)
    begun = control.undo(job, request.user, client_address(request), seen=request.POST.get("seen"))
    words = "What the job did is being taken back." if begun else WAITS
    return acted(request, job, words)


@roles(write=OWNERS)
def job_keep(request: Request, uuid: str) -> HttpResponse:
    return act(request, uuid, control.keep, "The job is left as it is.")


@roles(write=OWNERS)
def job_plan_again(request: Request, uuid: str) -> HttpResponse:
    """Have the plan made anew, and wait for it where it will be."""
    job = visible_job(request, uuid)
    control.plan_again(job, request.user, client_address(request))
    return started(request, job)

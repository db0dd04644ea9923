"""Who is told when something needs a person."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import render

from datastores.jobs.deliveries import try_out
from datastores.models import Delivery, NotificationTarget, User
from datastores.models.audit import in_turn
from datastores.services.notifications import EVENTS
from datastores.web.access import ADMINS, Request, roles, visible
from datastores.web.acting import ask_name, done, note
from datastores.web.forms.base import attempt
from datastores.web.forms.settings import TargetForm

OPEN, GIVEN_UP = Q(deliveries__outcome=Delivery.Outcome.OPEN), Q(deliveries__outcome=Delivery.Outcome.GIVEN_UP)
SENT = Q(deliveries__outcome=Delivery.Outcome.SENT)


def targets_shown(user: User) -> list[tuple[Any, list[str], bool]]:
    """Return the targets, what they are told of in words, and whether they do not take messages; one query."""
    return [(target, [EVENTS.get(each, each) for each in target.events], troubled(target))
            for target in with_state(user)]  # fmt: skip


def troubled(target: Any) -> bool:
    """Tell whether a message is being tried again, or was given up since the last one that was taken."""
    lost = target.given_up_at and (target.sent_at is None or target.given_up_at > target.sent_at)
    return bool(target.failing or lost)


def with_state(user: User) -> QuerySet[NotificationTarget]:
    failed = Delivery.objects.filter(target=OuterRef("pk")).exclude(error="").exclude(outcome="sent")
    rows: QuerySet[NotificationTarget] = NotificationTarget.objects.visible_to(user).defer("secret")
    return rows.annotate(
        is_signed=Q(~Q(secret="")),
        sent_at=Max("deliveries__done_at", filter=SENT),
        waiting=Count("deliveries", filter=OPEN),
        failing=Count("deliveries", filter=OPEN & ~Q(deliveries__error="")),
        given_up_at=Max("deliveries__done_at", filter=GIVEN_UP),
        given_up=Count("deliveries", filter=GIVEN_UP),
        error=Subquery(failed.order_by("-pk").values("error")[:1]),
    )


def kept(target: NotificationTarget) -> dict[str, Any]:
    """Return what an audit entry tells about a target: never its secret."""
    secret = "set" if target.secret else ""
    return {"kind": target.kind, "address": str(target), "secret": secret, "events": target.events,
            "enabled": target.enabled}  # fmt: skip


@roles(read=ADMINS, write=ADMINS)
def target_new(request: Request) -> HttpResponse:
    form = TargetForm(request.POST or None, initial={"events": list(EVENTS)})

    def act(_: object) -> HttpResponse:
        with in_turn():
            target = form.save()
            note(request, "target.create", target, after=kept(target))
        return done(request, f"{target} is told from now on. Send it a test.", "settings")

    page = {"form": form, "title": "New target", "button": "Add target"}
    return attempt(request, form, act, lambda: render(request, "datastores/target_form.html", page))


@roles(read=ADMINS, write=ADMINS)
def target_edit(request: Request, pk: int) -> HttpResponse:
    target = visible(request, NotificationTarget, pk=pk)
    name = str(target)
    form = TargetForm(request.POST or None, instance=target)

    def act(_: object) -> HttpResponse:
        with in_turn():
            before = kept(visible(request, NotificationTarget, pk=pk))
            renewed = bool(request.POST.get("secret"))
            changed = form.save()
            note(request, "target.change", changed, before=before, after=kept(changed),
                 **({"secret": "a new one"} if renewed else {}))  # fmt: skip
        return done(request, f"{changed} is changed.", "settings")

    page = {"form": form, "object": target, "title": name, "button": "Save"}
    return attempt(request, form, act, lambda: render(request, "datastores/target_form.html", page))


@roles(write=ADMINS)
def target_test(request: Request, pk: int) -> HttpResponse:
    """Send a message now, and show what the other side says."""
    target = visible(request, NotificationTarget, pk=pk)
    with in_turn():
        note(request, "target.test", target)
    answer = try_out(target)
    return done(request, f"{target} took the test: {answer}", "settings")


@roles(write=ADMINS)
def target_delete(request: Request, pk: int) -> HttpResponse:
    target = visible(request, NotificationTarget, pk=pk)
    if asked := ask_name(request, target.address, "It is told of nothing any more. What waits to be sent is dropped."):
        return asked
    with in_turn():
        note(request, "target.delete", target, before=kept(target))
        target.delete()
    return done(request, f"{target} is told of nothing any more.", "settings")

"""Who may sign in, and as what."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.errors import Refused
from datastores.models import User
from datastores.models.audit import in_turn
from datastores.services.since import by_whom, last_done
from datastores.web.access import ADMINS, Request, one_of, roles
from datastores.web.acting import ask_name, done, note
from datastores.web.forms.base import attempt
from datastores.web.forms.users import ChangeUserForm, NewPasswordForm, NewUserForm
from datastores.web.lists.columns import LONG_AGO, Column, Filter
from datastores.web.lists.fields import Choice, Flag, Moment, Text
from datastores.web.lists.rows import Rows


@roles(read=ADMINS)
class UserList(Rows):
    model = User
    template_name = "datastores/user_list.html"
    row_template = "datastores/_user_row.html"
    name = "users"
    search = Text(("username", "first_name", "last_name", "email"), "alice")
    fields = {
        "name": Text(("username",), "name:alice"),
        "role": Choice("role", {value: value for value in User.Role.values}, "role:tenant"),
        "active": Flag("is_active", "active:no"),
        "signed_in": Moment("last_login", "signed_in>90d"),
        "since": Moment("date_joined", "since<7d"),
    }
    default_sort = "name"
    filters = (Filter("role", "role", tuple(User.Role.choices)),)
    columns = (
        Column("name", "Name", "username", "username"),
        Column("full_name", "Full name", "last_name", lambda user: user.get_full_name()),
        Column("role", "Role", "role", "role"),
        Column("state", "State", "is_active", "is_active"),
        Column("signed_in", "Last sign-in", "last_login", "last_login", absent=LONG_AGO),
        Column("since", "Since", "date_joined", "date_joined"),
        Column("acts", ""),
    )

    def rows(self) -> QuerySet[Any]:
        return User.objects.all()


@roles(read=ADMINS, write=ADMINS)
def user_new(request: Request) -> HttpResponse:
    form = NewUserForm(request.POST or None)

    def act(_: object) -> HttpResponse:
        with in_turn():
            user = form.save()
            note(request, "user.create", user, role=user.role)
        return done(request, f"{user} may sign in now.", "user-list")

    page = {"form": form, "title": "New user", "button": "Create user"}
    return attempt(request, form, act, lambda: render(request, "datastores/user_form.html", page))


@roles(read=ADMINS, write=ADMINS)
def user_edit(request: Request, pk: int) -> HttpResponse:
    user = one_of(User.objects.all(), pk=pk)
    name = user.username
    form = ChangeUserForm(request.POST or None, instance=user)

    def act(data: dict[str, object]) -> HttpResponse:
        with in_turn():
            if data["role"] != User.Role.ADMIN:
                refuse_last_admin(user)
            now = User.objects.get(pk=pk)
            form.require_unchanged(now)
            before = kept(now)
            changed = form.save()
            note(request, "user.change", changed, before=before, after=kept(changed))
        return done(request, f"{changed} is changed.", "user-list")

    page = {"form": form, "object": user, "title": f"User {name}", "button": "Save"}
    return attempt(request, form, act, lambda: render(request, "datastores/user_form.html", page))


def kept(user: User) -> dict[str, str]:
    """Return what an audit entry tells about an account."""
    return {name: getattr(user, name) for name in ("role", "username", "email")}


@roles(write=ADMINS)
def user_active(request: Request, pk: int) -> HttpResponse:
    """Deactivate an account, or bring it back. Accounts are never deleted: what they did keeps their name."""
    user = one_of(User.objects.all(), pk=pk)
    question = f"{user} is signed out everywhere and cannot sign in any more. Images and machines stay."
    if user.is_active and request.POST.get("on") != "1" and (asked := ask_name(request, user.username, question)):
        return asked
    with in_turn():
        user.refresh_from_db()
        if request.POST.get("on", "") == ("1" if user.is_active else "0"):
            raise Refused(already(user))
        if user.is_active:
            refuse_last_admin(user)
        user.is_active = not user.is_active
        user.save(update_fields=["is_active"])
        note(request, "user.activate" if user.is_active else "user.deactivate", user)
    words = "may sign in again" if user.is_active else "cannot sign in any more"
    return done(request, f"{user} {words}.", "user-list")


@roles(read=ADMINS, write=ADMINS)
def user_password(request: Request, pk: int) -> HttpResponse:
    user = one_of(User.objects.all(), pk=pk)
    form = NewPasswordForm(request.POST or None, user=user)

    def act(data: dict[str, str]) -> HttpResponse:
        with in_turn():
            user.set_password(data["password"])
            user.save(update_fields=["password"])
            note(request, "user.password", user)
        return done(request, f"{user} has a new password.", "user-list")

    page = {"form": form, "object": user, "title": f"New password for {user}", "button": "Set password"}
    return attempt(request, form, act, lambda: render(request, "datastores/user_form.html", page))


def already(user: User) -> str:
    done = "activate" if user.is_active else "deactivate"
    return f"{user} was {done}d already{by_whom(last_done(f'user.{done}', user.username))}. Nothing was changed."


def refuse_last_admin(user: User) -> None:
    """Raise Refused when nobody could administer the installation without this account."""
    others = User.objects.select_for_update().filter(role=User.Role.ADMIN, is_active=True).exclude(pk=user.pk)
    if not others.exists():
        raise Refused(f"{user.username} is the only admin. Make somebody else an admin first.")

"""What an admin sets in the browser: which value is in force, and since when."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render

from datastores.domain.approvals import MEANING, Approval
from datastores.domain.errors import BadInput, Refused
from datastores.domain.values import whole
from datastores.jobs import approval as policy
from datastores.jobs.kinds import KINDS
from datastores.models import SettingsSection
from datastores.models.audit import in_turn
from datastores.services import settings
from datastores.services.settings import SECTIONS, Section, Setting
from datastores.web.access import ADMINS, INSPECTORS, Request, roles
from datastores.web.acting import done, note
from datastores.web.forms.base import attempt
from datastores.web.forms.settings import APPROVED, ApprovalForm, Rows, SectionForm, in_words
from datastores.web.views.targets import targets_shown


@dataclass(frozen=True, slots=True)
class Value:
    """A setting as the page shows it. ``wrong``: why what is stored is not in force."""

    setting: Setting
    words: str
    stored: bool
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job and what it has to wait for."""

    kind: str
    label: str
    about: str
    roles: str
    policy: Approval
    stored: bool
    wrong: bool
    """What is stored is no policy, so the default is in force."""
    bound: Any = None
    """The field of the form."""


@dataclass(frozen=True, slots=True)
class Part:
    """A section as the page shows it."""

    section: Section
    row: SettingsSection | None
    values: list[Value] = field(default_factory=list)


@roles(read=INSPECTORS)
def index(request: Request) -> HttpResponse:
    rows = settings.stored_now()
    parts = [Part(each, rows.get(each.name), shown(each, rows)) for each in SECTIONS.values()]
    page = {"parts": parts, "kinds": kinds(rows), "targets": targets_shown(request.user)}
    return render(request, "datastores/settings.html", page)


def shown(section: Section, rows: Rows) -> list[Value]:
    """Return the settings of a section with their values in force."""
    stored = settings.raw(section.name, rows)
    judged = [(setting, *settings.judged(setting, rows)) for setting in section.settings]
    return [Value(each, in_words(each, value), each.key in stored, wrong) for each, value, wrong in judged]


def kinds(rows: Rows, form: ApprovalForm | None = None) -> list[Kind]:
    stored = settings.raw("approval", rows)
    found = []
    for kind in APPROVED:
        case = KINDS[kind]
        about = inspect.cleandoc(case.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        found.append(
            Kind(
                kind=kind,
                label=case.label.removesuffix(" of"),
                about=about,
                roles=", ".join(sorted(case.roles)),
                policy=policy.policy_now(case, rows),
                stored=kind in stored,
                wrong=kind in stored and stored[kind] not in policy.choices_of(case),
                bound=form[kind] if form else None,
            )
        )
    return found


@roles(read=ADMINS, write=ADMINS)
def section(request: Request, section: str) -> HttpResponse:
    chosen = with_values(section)
    rows = settings.stored_now()
    in_force = {each.key: settings.judged(each, rows)[0] for each in chosen.settings}
    version = settings.version_of(section, rows)
    form = SectionForm(request.POST or None, section=chosen, in_force=in_force, version=version)

    def act(data: dict[str, Any]) -> HttpResponse:
        keep(request, chosen, data["version"], form.chosen())
        return done(request, f"{chosen.title}: the settings are stored.", "settings")

    def show() -> HttpResponse:
        page = {"form": form, "section": chosen, "values": shown(chosen, rows), "version": version}
        return render(request, "datastores/settings_section.html", page)

    return attempt(request, form, act, show)


def with_values(name: str) -> Section:
    """Return the section; 404 when there is none of this name, or it has a page of its own."""
    found = SECTIONS.get(name)
    if found is None or not found.settings:
        raise Http404
    return found


def keep(request: Request, section: Section, version: int, new: Mapping[str, Any], drop: Sequence[str] = ()) -> None:
    """Store what differs from what is in force, with its audit entry; nothing, when nothing does.

    :raises Refused: somebody else was first.
    """
    with in_turn():
        before = in_force(section)
        changed = {key: value for key, value in new.items() if before[key] != value}
        if not changed and not drop:
            return
        settings.change(section.name, version, changed, request.user.get_username(), drop=drop)
        after = in_force(section)
        names = [key for key in after if before[key] != after[key] or key in set(drop)]
        old, now = ({name: values[name] for name in names} for values in (before, after))
        note(request, "settings.change", section.title, before=old, after=now)


def in_force(section: Section) -> dict[str, Any]:
    rows = settings.stored_now()
    return {each.key: settings.judged(each, rows)[0] for each in section.settings}


@roles(write=ADMINS)
def back_to_default(request: Request, section: str) -> HttpResponse:
    chosen = with_values(section)
    setting = chosen.setting(request.POST.get("key", ""))
    version = whole(request.POST.get("version", ""))
    if setting is None or version is None:
        raise BadInput("The key is that of a setting of this section, and the version that of the page.")
    rest = in_force(chosen) | {setting.key: setting.default()}
    try:
        chosen.check(rest)
    except BadInput as error:
        raise Refused(f"{setting.label} cannot go back to its default as the others are. {error}") from error
    keep(request, chosen, version, {}, drop=[setting.key])
    return done(request, f"{setting.label} is {in_words(setting, setting.default())} again.", "settings")


@roles(read=ADMINS, write=ADMINS)
def approval(request: Request) -> HttpResponse:
    rows = settings.stored_now()
    form = ApprovalForm(request.POST or None, rows=rows, version=settings.version_of("approval", rows))

    def act(data: dict[str, Any]) -> HttpResponse:
        keep_policies(request, data["version"], form.policies())
        return done(request, "What jobs wait for is stored. It counts for what is asked for from now on.", "settings")

    def show() -> HttpResponse:
        page = {"form": form, "section": SECTIONS["approval"], "kinds": kinds(rows, form), "meaning": MEANING.items()}
        return render(request, "datastores/settings_approval.html", page)

    return attempt(request, form, act, show)


def keep_policies(request: Request, version: int, chosen: Mapping[str, Approval]) -> None:
    """Store the policies that are not those of the use cases, with the audit entry."""
    with in_turn():
        rows = settings.stored_now()
        stored = settings.raw("approval", rows)
        before = {kind: policy.policy_now(KINDS[kind], rows) for kind in chosen}
        new = {kind: each.value for kind, each in chosen.items() if each is not policy.default_of(KINDS[kind])}
        if {kind: stored[kind] for kind in chosen if kind in stored} == new:
            return
        settings.change("approval", version, new, request.user.get_username(), drop=set(chosen) - set(new))
        names = [kind for kind, each in chosen.items() if before[kind] is not each]
        old, now = ({kind: values[kind] for kind in names} for values in (before, chosen))
        note(request, "settings.change", SECTIONS["approval"].title, before=old, after=now)

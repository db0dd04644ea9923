"""What an admin may set in the browser: which value is in force, and how it is changed.

The default comes from the environment or from here; what is stored wins. Every process reads what is stored at most
once in ``FRESH_SECONDS``, so a change is in force everywhere within seconds. What somebody wrote into the database by
hand and cannot be used counts as not there, and says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from datastores.domain import values
from datastores.domain.errors import BadInput, ChangedSince
from datastores.domain.windows import window
from datastores.models import SettingsSection
from datastores.services.since import on_day

logger = logging.getLogger(__name__)
FRESH_SECONDS = 2.0
MOST_DAYS = 3650
MOST_DIRECTORIES = 100


@dataclass(frozen=True, slots=True)
class Setting:
    """One value. ``check`` returns it in canonical form or raises BadInput."""

    key: str
    label: str
    help: str
    check: Callable[[Any], Any]
    default: Callable[[], Any]
    variable: str = ""
    """The environment variable that gives the default."""
    unit: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = True
    """It may not be left empty."""


@dataclass(frozen=True, slots=True)
class Section:
    """Settings that are changed together."""

    name: str
    title: str
    icon: str
    about: str
    settings: tuple[Setting, ...] = ()
    check: Callable[[Mapping[str, Any]], None] = lambda chosen: None
    """Raises BadInput when the values do not go together."""

    def setting(self, key: str) -> Setting | None:
        return next((each for each in self.settings if each.key == key), None)


def whole(low: int, high: int) -> Callable[[Any], int]:
    """Return a check for whole numbers of this range."""

    def check(value: Any) -> int:
        number = values.whole(value.strip()) if isinstance(value, str) else value
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise BadInput(f"Enter a whole number from {low} to {high}.")
        return number

    return check


def line(most: int, *, empty: bool = False) -> Callable[[Any], str]:
    """Return a check for one line of text."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise BadInput("Enter text.")
        text = values.one_line(value).strip()
        if len(text) > most or not (text or empty):
            raise BadInput(f"Enter {'at most' if empty else 'from 1 to'} {most} characters.")
        return text

    return check


def one_of(choices: Iterable[str]) -> Callable[[Any], str]:
    known = tuple(choices)

    def check(value: Any) -> str:
        if value not in known:
            raise BadInput(f"Choose one of {', '.join(known)}.")
        return str(value)

    return check


def directories(value: Any) -> list[str]:
    """Check directories from which images may be registered; each is named once."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadInput("Enter directories, one a line.")
    if len(value) > MOST_DIRECTORIES:
        raise BadInput(f"Enter at most {MOST_DIRECTORIES} directories.")
    return list(dict.fromkeys(values.source_directory(each) for each in value))


def web_address(value: Any) -> str:
    """Check the address under which people reach the dashboard; "" is none."""
    if not isinstance(value, str):
        raise BadInput("Enter an address.")
    return values.web_address(value.strip()).rstrip("/") if value.strip() else ""


def transfer_window(value: Any) -> str:
    """Check a time of day for moves; "" is none."""
    if not isinstance(value, str):
        raise BadInput("Enter two times of day, such as 22:00-06:00.")
    return str(window(value)) if value.strip() else ""


def samples_in_order(chosen: Mapping[str, Any]) -> None:
    raw, hourly, daily = (chosen[f"samples_{each}_days"] for each in ("raw", "hourly", "daily"))
    if not raw <= hourly <= daily:
        raise BadInput("The coarser the values, the longer they are kept: raw, then hourly, then daily ones.")


TONES = (("none", "none"), ("ok", "green"), ("run", "blue"), ("warn", "amber"), ("bad", "red"))
SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        Section(
            "retention", "Retention", "archive", "How long is kept what nobody asks for any more.",
            (
                Setting("keep_reads_days", "Readings of the schedule",
                        "Jobs in which the schedule read a host and changed nothing. Audit entries stay.",
                        whole(1, MOST_DAYS), lambda: settings.KEEP_READS_DAYS, "CLOUDSTORE_KEEP_READS_DAYS", "days"),
                Setting("samples_raw_days", "Samples as measured", "Each measured value of a host or datastore.",
                        whole(1, 90), lambda: 2, unit="days"),
                Setting("samples_hourly_days", "Samples by the hour", "One value for each hour.",
                        whole(1, 730), lambda: 30, unit="days"),
                Setting("samples_daily_days", "Samples by the day", "One value for each day.",
                        whole(1, MOST_DAYS), lambda: 730, unit="days"),
            ),
            samples_in_order,
        ),
        Section(
            "monitoring", "Monitoring", "activity", "How often the schedule looks at hosts and datastores.",
            (
                Setting("monitor_seconds", "Interval",
                        "Datastores are measured, and hosts that did not answer are tried, once in this time; "
                        "the facts of hosts are read every fifteenth time.",
                        whole(5, 3600), lambda: settings.MONITOR_SECONDS, "CLOUDSTORE_MONITOR_SECONDS", "seconds"),
            ),
        ),
        Section("approval", "Approval", "check2-square", "What has to happen before a job changes anything."),
        Section(
            "sources", "Sources", "folder2-open",
            "From where images may be registered, unless a datastore names directories of its own.",
            (
                Setting("source_directories", "Source directories",
                        "Directories on the storage hosts, one a line, by their real paths. Every tenant may register "
                        "any file below them. None: only datastores that name some take images from files.",
                        directories, lambda: list(settings.SOURCE_DIRECTORIES), "CLOUDSTORE_SOURCE_DIRS",
                        required=False),
            ),
        ),
        Section(
            "transfers", "Transfers", "truck", "When images and disks are moved between datastores.",
            (
                Setting("transfer_window", "Window",
                        "The time of day in which a move begins for which that was chosen, such as 22:00-06:00, by the "
                        "clock of this site. Empty: there is no such choice.",
                        transfer_window, lambda: "", required=False),
            ),
        ),
        Section(
            "notifications", "Notifications", "bell", "Who is told when something needs a person.",
            (
                Setting("base_url", "Address of this dashboard",
                        "Messages link to it, such as https://store.example. Empty: they hold no links.",
                        web_address, lambda: next(iter(settings.CSRF_TRUSTED_ORIGINS), ""), "CLOUDSTORE_ORIGINS",
                        required=False),
            ),
        ),
        Section(
            "branding", "Branding", "tag", "So that nobody takes one installation for another.",
            (
                Setting("brand_name", "Name", "Beside the logo, in titles and in messages.",
                        line(40), lambda: "cloudstore"),
                Setting("brand_label", "Label", "A strip over every page, such as production. Empty: none.",
                        line(30, empty=True), lambda: "", required=False),
                Setting("brand_tone", "Colour of the label", "The strip always shows the word, too.",
                        one_of(dict(TONES)), lambda: "none", choices=TONES),
            ),
        ),
    )
}  # fmt: skip
OF = {setting.key: section for section in SECTIONS.values() for setting in section.settings}
"""The section of each setting."""


# Reading


@dataclass(slots=True)
class _Kept:
    rows: dict[str, SettingsSection]
    until: float


_kept: list[_Kept] = []
"""What was read last; one entry at most."""
_warned: set[str] = set()
"""Settings of which the log has said that they cannot be used."""


def stored() -> dict[str, SettingsSection]:
    """Return what is stored, by section; read anew when it is older than ``FRESH_SECONDS``."""
    kept = _kept[:1]
    if kept and time.monotonic() < kept[0].until:
        return kept[0].rows
    rows = stored_now()
    if not connection.in_atomic_block:  # what was written there may still be rolled back
        _kept[:] = [_Kept(rows, time.monotonic() + FRESH_SECONDS)]
    return rows


def stored_now() -> dict[str, SettingsSection]:
    """Return what is stored at this moment."""
    return SettingsSection.objects.in_bulk()


def forget() -> None:
    """Read anew at the next occasion."""
    _kept.clear()
    _warned.clear()


def raw(section: str, rows: Mapping[str, SettingsSection] | None = None) -> dict[str, Any]:
    """Return what is stored of a section, unchecked."""
    row = (stored() if rows is None else rows).get(section)
    found = row.values if row else {}
    if isinstance(found, dict):
        return found
    logger.warning("the stored settings of %s are no table of values; the defaults are in force", section)
    return {}


def judged(setting: Setting, rows: Mapping[str, SettingsSection] | None = None) -> tuple[Any, str]:
    """Return the value in force, and why what is stored is not ("": it is, or nothing is stored)."""
    found = raw(OF[setting.key].name, rows)
    if setting.key not in found:
        return setting.default(), ""
    try:
        return setting.check(found[setting.key]), ""
    except BadInput as error:
        return setting.default(), str(error)


def value(key: str) -> Any:
    """Return the value in force."""
    return values_of(OF[key].name)[key]


def values_of(section: str) -> dict[str, Any]:
    """Return the values of a section that are in force."""
    rows = stored()
    found = {}
    for setting in SECTIONS[section].settings:
        found[setting.key], wrong = judged(setting, rows)
        if wrong and setting.key not in _warned:
            _warned.add(setting.key)
            logger.warning("the stored setting %s cannot be used, so its default holds: %s", setting.key, wrong)
    return found


# Changing


def version_of(section: str, rows: Mapping[str, SettingsSection] | None = None) -> int:
    """Return how often a section was changed, by which somebody who changes it says what they saw."""
    row = (stored_now() if rows is None else rows).get(section)
    return row.version if row else 0


def change(section: str, version: int, new: Mapping[str, Any], by: str, *, drop: Iterable[str] = ()) -> None:
    """Store values that were checked, and forget those to ``drop``. Belongs into the turn of the audit entry.

    :raises ChangedSince: somebody else changed the section since the person saw it.
    """
    rows = stored_now()
    row = rows.get(section)
    if version_of(section, rows) != version:
        who = f" by {row.changed_by}" if row and row.changed_by else ""
        when = f", on {on_day(row.changed_at)}" if row else ""
        raise ChangedSince(
            f"These settings were changed{who} meanwhile{when}. Load the page again to see them, "
            "then repeat your change."
        )
    gone = set(drop)
    kept = {**raw(section, rows), **new}
    made = {"values": {key: each for key, each in kept.items() if key not in gone}, "version": version + 1,
            "changed_by": by, "changed_at": timezone.now()}  # fmt: skip
    if row is None:
        SettingsSection.objects.create(name=section, **made)
    else:
        SettingsSection.objects.filter(pk=section).update(**made)
    forget()
    transaction.on_commit(forget)

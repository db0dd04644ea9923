"""When bytes may be moved in bulk."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from datastores.domain.errors import BadInput
from datastores.domain.windows import window

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("text", "now", "opening"),
    [
        ("22:00-06:00", "2026-11-22 14:00", "2026-11-22 22:00"),
        ("22:00-06:00", "2026-11-22 06:00", "2026-11-22 22:00"),
        ("22:00-06:00", "2026-11-22 22:00", None),
        ("22:00-06:00", "2026-11-22 05:59", None),
        ("12:00 - 13:00", "2026-11-22 12:30", None),
        ("12:00-13:00", "2026-11-22 13:00", "2026-11-23 12:00"),
        ("12:00-13:00", "2026-11-22 00:00", "2026-11-22 12:00"),
    ],
)
def test_it_is_open_or_opens_next(text: str, now: str, opening: str | None) -> None:
    assert window(text).next_opening(at(now)) == (at(opening) if opening else None)


def test_on_the_day_the_clock_is_put_forward_it_opens_by_the_clock_of_the_site() -> None:
    opening = window("22:00-06:00").next_opening(at("2027-03-28 01:00").replace(hour=12))
    assert opening is not None and (opening.hour, opening.utcoffset()) == (22, at("2027-03-28 22:00").utcoffset())


@pytest.mark.parametrize("text", ["", "22:00", "22-06", "24:00-06:00", "22:60-06:00", "06:00-06:00", "22:00-06:00\n1"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        window(text)

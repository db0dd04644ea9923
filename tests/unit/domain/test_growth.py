"""How fast something fills: a robust line through its days."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain.growth import FARTHEST_DAYS, Growth, bytes_per_day, growth

GIB = 1 << 30


def line(days: int, pace: float, start: float = 100 * GIB) -> list[tuple[float, float]]:
    return [(float(day), start + pace * day) for day in range(days)]


def test_a_line_has_its_own_pace() -> None:
    found = growth(line(10, 2 * GIB), 80 * GIB)
    assert found == Growth(2 * GIB, 40)
    assert (found.pace, found.remaining) == ("+2 GiB/day", "40 days")


def test_a_day_on_which_much_was_copied_does_not_bend_it() -> None:
    points = line(14, GIB)
    points[6] = (6.0, points[6][1] + 900 * GIB)
    assert bytes_per_day(points) == pytest.approx(GIB, rel=0.01)


@pytest.mark.parametrize("points", [[], line(1, GIB), line(3, GIB), [(0.0, 1.0), (5.0, 9.0)], [(1.0, 5.0)] * 9])
def test_less_than_three_days_say_nothing(points: list[tuple[float, float]]) -> None:
    found = growth(points, 100 * GIB)
    assert found == Growth(None, None)
    assert (found.pace, found.remaining) == ("", "")


def test_what_does_not_grow_is_never_full() -> None:
    assert growth(line(9, 0), GIB).pace == "steady"
    assert growth(line(9, -3 * GIB), GIB).pace == "-3 GiB/day"
    assert growth(line(9, 0), GIB).days_to_full is growth(line(9, -3 * GIB), GIB).days_to_full is None


def test_what_grows_slowly_is_not_full_within_anybody_s_plans() -> None:
    assert growth(line(9, 2 << 20), 1 << 50).days_to_full is None


@pytest.mark.parametrize(
    ("free", "words"), [(0, "less than a day"), (-5, "less than a day"), (GIB, "1 day"), (3000 * GIB, "3,000 days")]
)
def test_the_time_that_is_left_in_words(free: int, words: str) -> None:
    assert growth(line(9, GIB), free).remaining == words


def test_without_a_measured_rest_nobody_knows_when() -> None:
    assert growth(line(9, GIB), None) == Growth(GIB, None)


sizes = st.integers(0, 1 << 60)
points = st.lists(st.tuples(st.floats(0, 1000, width=32), sizes.map(float)), max_size=40)


@given(points, sizes)
def test_whatever_was_measured_can_be_told(points: list[tuple[float, float]], free: int) -> None:
    found = growth(points, free)
    assert found.days_to_full is None or 0 <= found.days_to_full <= FARTHEST_DAYS
    assert found.pace in {"", "steady"} or found.pace.endswith("/day")


@given(st.integers(4, 40), st.integers(-(1 << 40), 1 << 40), st.integers(0, 1 << 50))
def test_any_line_is_found_again(days: int, pace: int, start: int) -> None:
    assert bytes_per_day(line(days, pace, start)) == pytest.approx(pace, rel=1e-6, abs=1e-3)

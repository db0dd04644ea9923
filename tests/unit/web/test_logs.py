"""The log of a job as data: ranges, filters, search, download."""

from __future__ import annotations

import time
from typing import Any

import pytest

from datastores.jobs.view import PAGE_CHARACTERS
from datastores.models import Job, JobEvent, User
from tests.unit.conftest import a_job, signed_in, write_log


@pytest.fixture
def job(admin: User) -> Job:
    """Three entries in five lines: h1 says a b c, h2 says d, h1 warns e."""
    job = a_job(admin)
    write_log(job, "a\nb\nc", host="h1", step=0)
    write_log(job, "d", host="h2", step=1)
    write_log(job, "e", host="h1", step=0, level="warning")
    return job


def ask(user: User, job: Job, path: str, **query: Any) -> Any:
    response = signed_in(user).get(f"/jobs/{job.uuid}/{path}/", query, headers={"Accept": "application/json"})
    assert response.status_code == 200, response.content
    return response.json()


def texts(answer: Any) -> list[str]:
    return [frame["text"] for frame in answer["events"]]


@pytest.mark.parametrize(
    ("first", "count", "expected"),
    [
        (1, 500, ["a\nb\nc", "d", "e"]),
        (1, 1, ["a\nb\nc"]),
        (3, 1, ["a\nb\nc"]),
        (3, 2, ["a\nb\nc", "d"]),
        (4, 1, ["d"]),
        (5, 10, ["e"]),
        (6, 10, []),
        (2, 0, []),
    ],
)
def test_entries_that_overlap_a_range(admin: User, job: Job, first: int, count: int, expected: list[str]) -> None:
    answer = ask(admin, job, "lines", first=first, count=count)
    assert answer["total"] == 5
    assert texts(answer) == expected


@pytest.mark.parametrize("filters", [{}, {"host": "h1"}])
def test_where_lines_are_long_an_answer_ends_early_and_the_next_goes_on(admin: User, filters: dict[str, str]) -> None:
    job = a_job(admin)
    write_log(job, *["x" * 8192] * 300, host="h1")
    at, seen = 1, 0
    while at <= 300:
        answer = ask(admin, job, "lines", first=at, count=301 - at, **filters)
        assert answer["total"] == 300
        assert sum(map(len, texts(answer))) <= PAGE_CHARACTERS + 8192
        seen += len(answer["events"])
        last = answer["events"][-1]
        at = last.get("at_line", last["first"]) + last["lines"]
    assert seen == 300


def test_frames_are_those_of_the_socket(admin: User, job: Job) -> None:
    frames = ask(admin, job, "lines")["events"]
    assert frames == [event.frame() for event in job.events.order_by("seq")]


@pytest.mark.parametrize(
    ("query", "total", "expected"),
    [
        ({"host": "h1"}, 4, [("a\nb\nc", 1), ("e", 4)]),
        ({"host": "h1", "first": 4, "count": 5}, 4, [("e", 4)]),
        ({"host": "h1", "first": 2, "count": 1}, 4, [("a\nb\nc", 1)]),
        ({"host": "h1", "first": 5}, 4, []),
        ({"step": 1}, 1, [("d", 1)]),
        ({"level": "warning"}, 1, [("e", 1)]),
        ({"host": "h2", "level": "warning"}, 0, []),
    ],
)
def test_positions_count_within_the_filter(
    admin: User, job: Job, query: dict[str, Any], total: int, expected: list[tuple[str, int]]
) -> None:
    answer = ask(admin, job, "lines", **query)
    assert answer["total"] == total
    assert [(frame["text"], frame["at_line"]) for frame in answer["events"]] == expected


@pytest.mark.parametrize(
    "query", [{"first": "x"}, {"first": "-1"}, {"step": "x"}, {"level": "loud"}, {"first": "9" * 30}]
)
def test_nonsense_is_refused(admin: User, job: Job, query: dict[str, str]) -> None:
    url = f"/jobs/{job.uuid}/lines/"
    response = signed_in(admin).get(url, query, headers={"Accept": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]


def test_search_takes_upper_and_lower_case_alike(admin: User, job: Job) -> None:
    write_log(job, "No SPACE left\nÄrger\nnothing", "no space")
    assert ask(admin, job, "search", q="no space") == {"matches": [6, 9], "truncated": False}
    assert ask(admin, job, "search", q="ärger")["matches"] == [7]
    assert ask(admin, job, "search", q="E", host="h1")["matches"] == [5]
    assert ask(admin, job, "search", q="zzz")["matches"] == []
    assert ask(admin, job, "search", q="")["matches"] == []
    assert ask(admin, job, "search", q="100%_")["matches"] == []


def test_search_stops_at_five_thousand(admin: User, job: Job) -> None:
    write_log(job, *["\n".join(["x"] * 3000)] * 2)
    answer = ask(admin, job, "search", q="x")
    assert (len(answer["matches"]), answer["truncated"]) == (5000, True)


@pytest.fixture
def long(admin: User) -> Job:
    """A million lines, in blocks as the worker writes them."""
    job = a_job(admin)
    block = "\n".join(f"copied block {number} of the disk" for number in range(4000))
    write_log(job, *[block] * 249, host="h1", step=0)
    write_log(job, f"{block}\nno space left on device", host="h2", step=1, level="error")
    return job


def test_a_million_lines_open_at_once(admin: User, long: Job) -> None:
    client = signed_in(admin)
    for query in ({"first": 500_000, "count": 500}, {"first": 900_000, "count": 500, "host": "h1"}):
        started = time.perf_counter()
        answer = client.get(f"/jobs/{long.uuid}/lines/", query).json()
        assert time.perf_counter() - started < 0.5
        assert answer["events"]
    started = time.perf_counter()
    page = client.get(f"/jobs/{long.uuid}/").content.decode()
    assert time.perf_counter() - started < 0.5
    assert 'data-total="1000001"' in page
    started = time.perf_counter()
    assert ask(admin, long, "search", q="No Space")["matches"] == [1_000_001]
    assert time.perf_counter() - started < 2


def download(user: User, job: Job) -> tuple[Any, str]:
    response = signed_in(user).get(f"/jobs/{job.uuid}/log.txt")
    return response, b"".join(response.streaming_content).decode()


def test_the_download_is_text_and_an_attachment(admin: User, job: Job) -> None:
    write_log(job, "<script>alert(1)</script>", level="error")
    response, text = download(admin, job)
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"].startswith("attachment; ")
    assert [line.split(" ", 1)[1] for line in text.splitlines()] == [
        "h1 info a", "h1 info b", "h1 info c", "h2 info d", "h1 warning e", "- error <script>alert(1)</script>",
    ]  # fmt: skip


def test_the_download_begins_before_the_log_is_read_to_its_end(
    admin: User, job: Job, django_assert_num_queries: Any
) -> None:
    write_log(job, *["line"] * 250)
    response = signed_in(admin).get(f"/jobs/{job.uuid}/log.txt")
    assert not response.is_async, "under WSGI that would be read at once, as a whole"
    pieces = iter(response.streaming_content)
    with django_assert_num_queries(1):
        first = next(pieces)
    assert len(first.splitlines()) < 30
    write_log(job, "written meanwhile")
    rest = b"".join(pieces).decode()
    assert rest.endswith("written meanwhile\n")
    assert len(first.splitlines()) + len(rest.splitlines()) == 256


def test_an_empty_log(admin: User) -> None:
    job = a_job(admin)
    assert ask(admin, job, "lines") == {"total": 0, "events": []}
    assert ask(admin, job, "lines", host="h1") == {"total": 0, "events": []}
    assert download(admin, job)[1] == ""
    assert not JobEvent.objects.exists()

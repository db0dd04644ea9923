"""What was measured is kept for each benchmark and each database, and written down with its command."""

from __future__ import annotations

from typing import Any

import pytest

from bench import idle
from bench.figures import POSTGRESQL, SQLITE, Figure, database, merged, page


def row(benchmark: str, value: float, **more: Any) -> dict[str, Any]:
    return {**Figure(name="p95", value=value, unit="ms", goal=100).row(), "benchmark": benchmark, "on": "a day", **more}


def test_a_new_run_replaces_the_rows_of_its_benchmark_on_its_database_only() -> None:
    of_sqlite, of_other = row("lists", 1, database=SQLITE), row("clone", 2, database=SQLITE)
    of_postgresql = row("lists", 3, database=POSTGRESQL)
    fresh = row("lists", 4, database=POSTGRESQL)
    assert merged([of_sqlite, of_other, of_postgresql], [fresh]) == [of_sqlite, of_other, fresh]


def test_a_row_that_does_not_say_was_measured_on_sqlite() -> None:
    fresh = row("lists", 2, database=SQLITE)
    assert merged([row("lists", 1)], [fresh]) == [fresh]


def test_each_database_has_a_table_of_its_own_with_its_command() -> None:
    text = page([row("lists", 12, database=SQLITE), row("lists", 345, database=POSTGRESQL)])
    assert text.count("## lists\n") == 1
    first, second = text.split("SQLite: `make bench ONLY=lists`. Measured a day.")[1].split("PostgreSQL: ")
    assert "| p95 | 12 ms | <= 100: met |" in first
    assert second.startswith("`make bench ONLY=lists DB=postgres`. Measured a day.")
    assert "| p95 | 345 ms | <= 100: MISSED |" in second


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("", SQLITE),
        ("sqlite:////var/lib/x.sqlite3", SQLITE),
        ("postgres://a@b/c", POSTGRESQL),
        ("postgresql://b/c", POSTGRESQL),
    ],
)
def test_the_database_is_that_of_the_environment(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert database() == name


def test_an_idle_installation_is_measured_with_its_queue_where_that_is_its_own() -> None:
    own, elsewhere = idle.measured({}), idle.measured({"REDIS_URL": "unix:///run/redis.sock"})
    assert (own, elsewhere) == (("web", "workers", "redis"), ("web", "workers"))
    whole, part = idle.figure_of(own, 234.0, "web 88"), idle.figure_of(elsewhere, 229.0, "web 88")
    assert (whole.name, whole.goal) == ("web, workers and queue, PSS", idle.GOAL)
    assert (part.name, part.goal, part.remark) == ("web and workers, PSS", None, "web 88; queue and database apart")

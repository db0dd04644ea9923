"""The page of queues: what waits, who works, and nothing to press."""

from __future__ import annotations

import re

import pytest

from datastores.domain.alert_facts import QueueFacts, WorkerFacts
from datastores.domain.alert_rules import WORKER_LOST
from datastores.jobs.watching import Machinery
from datastores.models import User
from tests.unit.conftest import signed_in, text_of

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def shown(admin: User, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The page as it is while Redis knows this."""
    seen: Machinery = request.param
    monkeypatch.setattr("datastores.web.views.queues.machinery", lambda: seen)
    return text_of(signed_in(admin).get("/queues/"))


def line(page: str, name: str) -> list[str]:
    """Return the cells of the row that begins with a name."""
    row = re.search(rf"<tr><td[^>]*>(?:<b>)?{re.escape(name)}.*?</tr>", page, re.DOTALL)
    assert row, name
    return [" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in re.findall("<td.*?</td>", row[0], re.DOTALL)]


SEEN: Machinery = (
    [
        WorkerFacts("w1", "vm", ("interactive", "transfer"), 3.0, 7200.0),
        WorkerFacts("w2", HOSTILE, ("transfer",), WORKER_LOST.limit + 1),
    ],
    [QueueFacts("interactive", 1200, 300.0), QueueFacts("transfer", 0, 0.0), QueueFacts("monitor", 0, 0.0)],
)


@pytest.mark.parametrize("shown", [SEEN], indirect=True)
def test_it_shows_what_waits_and_who_works(shown: str) -> None:
    assert line(shown, "interactive")[1:4] == ["1,200", "5 min", "1"]
    assert line(shown, "transfer")[1:4] == ["0", "-", "1"], "a worker that is lost works on nothing"
    assert line(shown, "monitor")[3] == "none"
    assert line(shown, "w1")[1:] == ["vm", "works", "interactive, transfer", "2.0 h ago", "3.0 s ago"]
    assert line(shown, "w2")[2] == "lost" and line(shown, "w2")[4] == "not known"
    assert HOSTILE not in shown


@pytest.mark.parametrize("shown", [SEEN], indirect=True)
def test_nothing_can_be_changed_there(shown: str) -> None:
    main = shown[shown.index("<main") : shown.index("</main>")]
    assert "<form" not in main and "<button" not in main


@pytest.mark.parametrize("shown", [(None, None)], indirect=True)
def test_it_says_that_redis_does_not_answer(shown: str) -> None:
    assert "Redis does not answer." in shown and "<table" not in shown


@pytest.mark.parametrize("shown", [([], [])], indirect=True)
def test_it_says_that_nobody_works(shown: str) -> None:
    assert "No worker is known." in shown


def test_admins_are_led_there_and_nobody_else(admin: User, operator: User) -> None:
    assert 'href="/queues/"' in text_of(signed_in(admin).get("/"))
    assert 'href="/queues/"' not in text_of(signed_in(operator).get("/"))

"""What is set in one process is in force in the others, and what people are to be told leaves by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.stack import Stack, running
from tests.unit.jobs.servers import web_server

DUE = """
from datastores.models import Duty
print(Duty.seconds_left("measure_datastores"))
"""
SET = """
from datastores.services import settings
settings.change("monitoring", settings.version_of("monitoring"), {{"monitor_seconds": {seconds}}}, "anna")
"""
TELL = """
from datastores.models import NotificationTarget
from datastores.services.notifications import tell
NotificationTarget.objects.create(address="{url}", secret="sesame", events=["job.failed"])
for number in range(100):
    tell("job.failed", f"Clone {{number}} failed")
"""


@pytest.fixture(autouse=True)
def _agreement() -> None:
    """No host takes part here."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {"CLOUDSTORE_MONITOR_SECONDS": "60", "CLOUDSTORE_WEBHOOK_LOOPBACK": "1"}
    with running(tmp_path_factory.mktemp("settings"), **env) as found:
        yield found


def soon(true: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def due(stack: Stack) -> float:
    return float(stack.shell(DUE))


def test_the_schedule_follows_an_interval_that_is_set_in_another_process(stack: Stack) -> None:
    assert due(stack) <= 60
    stack.shell(SET.format(seconds=5))
    assert soon(lambda: due(stack) <= 5)
    stack.shell(SET.format(seconds=3600))
    assert soon(lambda: due(stack) > 3000)


def test_what_people_are_to_be_told_is_told_once(stack: Stack) -> None:
    with web_server() as web:
        stack.shell(TELL.format(url=web.url))
        assert soon(lambda: bool(web.posted))
        time.sleep(7)  # the duty has its turn again
        (posted,) = web.posted
    said = json.loads(posted.body)
    assert (said["event"], said["count"], len(said["items"])) == ("job.failed", 100, 20)
    assert posted.headers["X-Cloudstore-Signature"].startswith("sha256=")

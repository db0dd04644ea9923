"""A log is watched while sockets break, the web process is killed, and the worker with it."""

from __future__ import annotations

from datastores.models import Datastore, Image
from tests.faults.conftest import GOLDEN
from tests.faults.installation import Installation
from tests.faults.test_lost_connection import assert_whole, output_of
from tests.faults.watching import Watcher

RECONNECTS = 100
WEB_KILLS = 2


def test_over_a_hundred_broken_sockets_and_killed_web_processes_no_line_is_missing_or_twice(
    site: Installation, xfs: Datastore
) -> None:
    with site.points.holding("cp", GOLDEN, when="half") as point:
        job = site.register(xfs, "watched", GOLDEN)
        point.wait()
        point.chatter()
        watcher = Watcher(site.twin(), job)
        for number in range(1, WEB_KILLS + 2):
            while watcher.connections < number * RECONNECTS // (WEB_KILLS + 1) + 1:
                watcher.watch(seconds=0.06)
            if number <= WEB_KILLS:
                site.stack.kill("web")
    site.succeeded(job)
    while not watcher.ended:
        watcher.watch(seconds=0.5)
    watcher.watch(seconds=0.5)
    assert watcher.connections > RECONNECTS and watcher.refusals
    stored = [event.frame() for event in site.events(job)]
    assert [event["seq"] for event in watcher.events] == list(range(1, len(stored) + 1))
    assert watcher.events == stored
    assert_whole(watcher.lines, least=2000)
    assert watcher.lines == output_of(site, job)
    site.discard(site.rows(Image).get(name="watched"))

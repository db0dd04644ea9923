"""In which order hosts work when a disk is attached to one of them."""

from __future__ import annotations

from datastores.hosts.files import DirectoryPresent
from datastores.services.disk_hosts import in_order


def test_hosts_wait_for_each_other() -> None:
    steps = tuple(DirectoryPresent(host, f"/srv/{number}") for number, host in enumerate(("h1", "h2", "h2", "h1")))
    stages = in_order("attach", steps)
    assert [stage.title for stage in stages] == ["attach"] * 3
    assert tuple(step for stage in stages for step in stage.steps) == steps
    assert [{step.host for step in stage.steps} for stage in stages] == [{"h1"}, {"h2"}, {"h1"}]

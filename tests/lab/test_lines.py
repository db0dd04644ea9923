"""Lines of one file on a real host: each job takes back its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from datastores.domain.plan import EditLines
from datastores.hosts.lines import swapped
from datastores.hosts.mounts import FstabLineAbsent, FstabLinePresent
from datastores.hosts.runner import Run
from datastores.hosts.stages import stages_of, steps_of
from datastores.hosts.undo import take_back
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.places import told

pytestmark = pytest.mark.lab
hosts = places.hosts
ONE = FstabLinePresent("h2", "nfs1:/one", "/srv/one", "nfs4", "rw,noauto")
TWO = FstabLinePresent("h2", "nfs1:/two", "/srv/two", "nfs4", "rw,noauto")


def fstab(hosts: Hosts) -> str:
    return told(hosts, "cat", "/etc/fstab", name="h2")


def test_two_that_have_read_the_same_file_keep_the_lines_of_both(hosts: Hosts) -> None:
    before, shell = fstab(hosts), hosts.shell("h2")
    changes = [step.plan(step.facts(shell.run_many(step.reads()))) for step in (ONE, TWO)]
    edits = [change.actions[0] for change in changes if change]
    dos = [edit.do.command for edit in edits if isinstance(edit.do, EditLines)]
    with ThreadPoolExecutor(2) as threads:
        assert [output.ok for output in threads.map(shell.run, dos)] == [True, True]
    assert hosts.needs(ONE, TWO) == [False, False]
    assert [shell.run(edit.undo).ok for edit in edits if edit.undo] == [True, True]
    assert fstab(hosts) == before


def taken_back(hosts: Hosts, run: Run) -> bool:
    plan = run.plan
    return take_back(run.ledger.balance(), lambda: steps_of(plan), stages_of(plan), hosts.shell, Diary())


def test_of_two_jobs_on_one_file_either_is_taken_back_first(hosts: Hosts) -> None:
    before = fstab(hosts)
    runs = [hosts.run([ONE]), hosts.run([TWO])]
    after = [before + "nfs1:/two /srv/two nfs4 rw,noauto 0 0\n", before]
    for run, wanted in zip(runs, after, strict=True):
        assert taken_back(hosts, run)
        assert fstab(hosts) == wanted
    assert "cloudstore" not in told(hosts, "ls", "/etc", name="h2")


def test_a_line_that_was_taken_out_comes_back_beside_what_was_added_since(hosts: Hosts) -> None:
    before = fstab(hosts)
    hosts.run([ONE])
    gone = hosts.run([FstabLineAbsent("h2", "nfs1:/one", "/srv/one")])
    hosts.run([TWO])
    assert taken_back(hosts, gone)
    assert hosts.needs(ONE, TWO) == [False, False]
    hosts.run([FstabLineAbsent("h2", "nfs1:/one", "/srv/one"), FstabLineAbsent("h2", "nfs1:/two", "/srv/two")])
    assert fstab(hosts) == before


@pytest.mark.parametrize("line", ["a\\040b", "a & b", "a/b|c", '"$(id)"', "'", "-rf", "*.?[x]", "é", "x  y\tz"])
def test_a_line_is_text_and_nothing_else(hosts: Hosts, line: str) -> None:
    path = "/var/tmp/lines"
    told(hosts, "dd", f"of={path}", "status=none", stdin=f"first\n{line}\nlast\n", name="h2")
    for old, new, wanted in ((line, "other", "first\nother\nlast\n"), ("other", line, f"first\n{line}\nlast\n"),
                             (line, "", "first\nlast\n"), ("", line, f"first\nlast\n{line}\n")):  # fmt: skip
        command = swapped(path, old, new)
        told(hosts, *command.argv, name="h2")
        assert told(hosts, "cat", path, name="h2") == wanted
    told(hosts, "rm", path, name="h2")

"""Copies kept beside files for the way back: they go with it, and only they."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from datastores.domain.plan import Action, Change, Command, Plan, Stage, WriteFile
from datastores.domain.states import EventKind, JobState
from datastores.jobs import control
from datastores.jobs.backups import NOW, kept_by, removal
from datastores.jobs.codec import encode_action
from datastores.models import User
from tests.fakes import FakeShell, said
from tests.unit.conftest import a_job, a_step, write_log
from tests.unit.flags import FlagSet, ran
from tests.unit.jobs.conftest import Ask, FlagsUp, work

pytestmark = pytest.mark.django_db(transaction=True)
FILE, KEPT = "/etc/x", "/etc/x.cloudstore~"
LEFT_ASIDE = ("find", KEPT, "-maxdepth", "0", "-type", "f", "!", "-newerct", "@1000.5", "-delete")


@dataclass(frozen=True, slots=True)
class FlagAside(FlagSet):
    """The flag is "on", and its file is aside."""

    def plan(self, facts: str) -> Change | None:
        aside, back = ("set", self.name, FILE, KEPT), ("clear", self.name, KEPT, FILE)
        return None if facts == "on" else Change(self.title, (Action(Command(aside), Command(back)),))


@pytest.fixture
def aside(shell: FakeShell, monkeypatch: pytest.MonkeyPatch) -> FakeShell:
    plan: Plan = (Stage("all", (FlagAside("h1", "a"), FlagSet("h1", "b"))),)
    monkeypatch.setattr(FlagsUp, "plan", lambda self, job: plan)
    shell.answers |= {NOW.argv: said("1000.5\n"), LEFT_ASIDE: said()}
    for verb, state in (("set", "on"), ("clear", "off")):
        names = (FILE, KEPT) if verb == "set" else (KEPT, FILE)
        shell.effects[verb, "a", *names] = {("get", "a"): said(state)}
    return shell


def test_they_stay_as_long_as_the_job_can_be_undone(ask: Ask, aside: FakeShell, operator: User) -> None:
    job = work(ask())
    assert (job.state, aside.ran.count(LEFT_ASIDE)) == (JobState.SUCCEEDED, 0)
    control.undo(job, operator)
    assert work(job).state == JobState.CANCELLED
    assert ran(aside, "clear", "find")[-2:] == [("clear", "a", KEPT, FILE), LEFT_ASIDE]


def test_they_go_with_the_end_of_a_job_that_has_no_undo(
    ask: Ask, aside: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlagsUp, "can_undo", False)
    assert work(ask()).state == JobState.SUCCEEDED
    assert aside.ran[-1] == LEFT_ASIDE


def test_they_go_when_a_job_that_failed_was_taken_back_and_stay_when_something_is_left(
    ask: Ask, aside: FakeShell
) -> None:
    aside.answers["get", "b"] = said("broken")
    assert work(ask()).state == JobState.FAILED
    assert aside.ran[-1] == LEFT_ASIDE
    aside.answers["clear", "a", KEPT, FILE] = said(exit_status=1, stderr="busy")
    del aside.effects["clear", "a", KEPT, FILE]
    aside.commands.clear()
    assert work(ask()).state == JobState.FAILED
    assert LEFT_ASIDE not in aside.ran


def test_every_name_in_the_journal_is_known(operator: User) -> None:
    job = a_job(operator)
    write = WriteFile("/etc/fstab", "new", "old")
    for action in (Action(write, write.undo), Action(Command(("mv", "-fT", "--", FILE, KEPT)))):
        [event] = write_log(job, "$ do", kind=EventKind.ACTION_STARTED, host="h1")
        event.data = {"action": 0, **encode_action(action)}
        event.save()
    a_step(job)
    assert kept_by(job) == {"h1": ["/etc/fstab.cloudstore~", KEPT]}


def test_what_another_job_keeps_since_stays(tmp_path: Path) -> None:
    old, new = tmp_path / "a b.cloudstore~", tmp_path / "c.cloudstore~"
    old.write_text("old")
    now = subprocess.run(NOW.argv, capture_output=True, text=True, check=True).stdout.strip()
    source = tmp_path / "c"
    source.write_text("new")
    source.rename(new)
    subprocess.run(removal(now, [str(old), str(new), str(tmp_path / "gone")]).argv, capture_output=True, check=False)
    assert [path.name for path in tmp_path.iterdir()] == [new.name]

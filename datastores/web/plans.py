"""A job's plan as people read it: host by host, statement by statement, with the exact commands.

Kinds of job that wait for approval have their changes on the steps. For the others the journal tells what was done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datastores.domain.states import EventKind, JobState
from datastores.jobs.codec import HIDDEN
from datastores.models import Job, JobStep
from datastores.transport.quoting import shell_line
from datastores.web.diffs import Line, diff_lines


@dataclass(frozen=True, slots=True)
class Operation:
    """A command, or a file that is written. ``script``: what changes lines of the file, whatever else is in it."""

    line: str
    diff: tuple[Line, ...] = ()
    hint: str = ""
    script: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A step that changes something, or that is refused."""

    step: JobStep
    summary: str = ""
    note: str = ""
    undo: str = ""
    can_undo: bool = False
    operations: tuple[Operation, ...] = ()


@dataclass(slots=True)
class HostPlan:
    """What happens on one host. ``checks``: what can be looked at only when the changes before it are made."""

    host: str
    already: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    changes: list[Statement] = field(default_factory=list)
    refused: list[Statement] = field(default_factory=list)


@dataclass(slots=True)
class PlanView:
    """The whole plan. ``recorded``: it is that of a job that needed no approval, or got none; ``begun``: on a host."""

    hosts: list[HostPlan]
    recorded: bool
    begun: bool

    @property
    def changes(self) -> int:
        return sum(len(host.changes) for host in self.hosts)

    @property
    def already(self) -> int:
        return sum(len(host.already) for host in self.hosts)

    @property
    def refused(self) -> int:
        return sum(len(host.refused) for host in self.hosts)


def plan_view(job: Job) -> PlanView:
    """Return the plan to show; two queries at most."""
    steps = list(job.steps.order_by("index"))
    recorded = job.state != JobState.AWAITING and not job.approved_at
    done = journal(job) if recorded else {}
    hosts: dict[str, HostPlan] = {}
    for step in steps:
        host = hosts.setdefault(step.host, HostPlan(step.host))
        change = step.change or done.get(step.index)
        if step.refused:
            host.refused.append(Statement(step))
        elif change and not change["actions"]:
            host.checks.append(step.title)
        elif change:
            host.changes.append(statement(step, change))
        else:
            host.already.append(step.title)
    return PlanView(list(hosts.values()), recorded, bool(done))


def journal(job: Job) -> dict[int, dict[str, Any]]:
    """Return what was started on the hosts, by step, in the form of a stored change."""
    found: dict[int, dict[str, Any]] = {}
    started = job.events.filter(kind=EventKind.ACTION_STARTED).exclude(data=None).order_by("seq")
    rows: Any = started.values_list("step", "data")
    for step, data in rows:
        change = found.setdefault(step, {"summary": "", "note": "", "actions": {}})
        change["actions"][data["action"]] = data
    return {step: {**change, "actions": list(change["actions"].values())} for step, change in found.items()}


def statement(step: JobStep, change: dict[str, Any]) -> Statement:
    actions = change["actions"]
    undoable = [bool(action["undo"]) for action in actions]
    undo = "can be undone" if all(undoable) else "can be undone in part" if any(undoable) else "cannot be undone"
    operations = tuple(operation(action["do"]) for action in actions)
    return Statement(step, change["summary"], change["note"], undo, all(undoable), operations)


def operation(do: dict[str, Any]) -> Operation:
    if do["type"] == "write":
        return Operation(do["path"], diff_lines(do["diff"]), f"{do['owner']}:{do['group']} {do['mode']}")
    if do["type"] == "lines":
        return Operation(do["path"], diff_lines(do["diff"]), script=shell_line(do["argv"]))
    hints = [] if do["root"] else ["not as root"]
    if do.get("stdin"):
        hints.append("reads a secret" if do["stdin"] == HIDDEN else f"reads {len(do['stdin'])} bytes")
    if do["type"] == "detached":
        hints.append("goes on by itself if the connection is lost")
    return Operation(shell_line(do["argv"]), hint=", ".join(hints))


def as_shell(view: PlanView) -> str:
    """Return the plan as a script for those who want to do it by hand, on each host as root."""
    parts = []
    for host in view.hosts:
        for change in host.changes:
            lines = [f"# {host.host}: {change.step.title}"]
            for each in change.operations:
                lines += patch(each) if each.diff and not each.script else [each.script or each.line]
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def patch(write: Operation) -> list[str]:
    """Return the lines that bring a file to its new text."""
    texts = [line.text for line in write.diff]
    end = "END"
    while end in texts:
        end += "_"
    owner, _, mode = write.hint.rpartition(" ")
    return [
        f"{shell_line(('patch', '--', write.line))} <<'{end}'", *texts, end,
        shell_line(("chown", owner, "--", write.line)), shell_line(("chmod", mode, "--", write.line)),
    ]  # fmt: skip

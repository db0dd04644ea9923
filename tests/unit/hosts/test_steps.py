"""Every step, from recorded output to planned commands. The format is in cases/README.md."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from datastores import hosts
from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import (
    WRITE,
    Action,
    AnyStep,
    Command,
    Detached,
    EditLines,
    Operation,
    Output,
    WriteFile,
    encode,
)
from datastores.hosts import authorized_keys, checksums, gluster_quota, gluster_waits, lines, lvm_wiping, sending

SCRIPTS = {
    lines.SWAP: "SWAP",
    authorized_keys.ADD: "ADD",
    authorized_keys.TAKE_OUT: "TAKE_OUT",
    sending.ALLOW: "ALLOW",
    sending.FORBID: "FORBID",
    gluster_waits.WAIT: "WAIT",
    gluster_waits.DRAIN: "DRAIN",
    gluster_waits.STOP: "STOP",
    gluster_waits.HEAL: "HEAL",
    gluster_quota.DISABLE: "DISABLE",
    lvm_wiping.ZERO: "ZERO",
    lvm_wiping.DISCARD: "DISCARD",
    checksums.PROGRAM[-1]: "DIGEST",
}
"""Scripts that cases name instead of showing them."""
CONSTANT = {WRITE, *SCRIPTS}
CASES = Path(__file__).parent / "cases"
NEEDED = {"absent": "actions", "present": "unchanged", "unreadable": "unreadable"}
OUTCOMES = {"unchanged", "refused", "unreadable", "bad_input", "actions"}

EXEMPT = {
    "sources.SourceAllowed/absent": "a check: what it finds wrong is refused, and never put right",
    "appliances.LunReached/absent": "a check: an appliance is not ours to change",
    "appliance_luns.LunsKnown/absent": "it only reads, so nothing is ever missing",
    "appliance_luns.LunsKnown/in-the-way": "it only reads, so nothing is ever in the way",
    "appliance_luns.PortalTried/absent": "it only reads, so nothing is ever missing",
    "appliance_luns.PortalTried/in-the-way": "it only reads, so nothing is ever in the way",
    "libvirt_secrets.LibvirtSecretGone/in-the-way": "a secret with its UUID is its own",
    "portals.PortalFree/absent": "a check: whoever listens there is not ours to stop",
    "tgt_targets.TargetUnused/absent": "a check: whoever is logged in logs out by himself",
    "tgt_targets.TargetUnserved/absent": "a check: it goes with the disk of the machine",
    "nfs_clients.ClosedByClients/absent": "a check: a file is closed on the host that has it open",
    "stored.FileStored/absent": "a check: a file that is gone is refused, no step brings its bytes back",
    "stored.OnlyKnownFiles/absent": "a check: files of others are refused, and never removed",
    "rbd_links.RbdImageUnlinked/in-the-way": "whose disk else the image may be is left as it is",
    "rbd_stored.OnlyKnownRbdImages/absent": "a check: images of others are refused, and never removed",
    "rbd_stored.RbdImageStored/absent": "a check: an image that is gone is refused, no step brings its bytes back",
    "gluster_bricks.BrickEmpty/absent": "a check: files of others are refused, and never removed",
    "receiving.SourceReachable/absent": "a check: a host that is not reached is refused, no step puts that right",
    "files.DirectoryVacant/absent": "a check: files of others are refused, and never removed",
    "gluster_quota.DirectoryThere/absent": "a check: a directory that is not there is refused, and not made",
    "gluster_quota.QuotaLimitAbsent/in-the-way": "a limit is in nobody's way: whatever it is, it is lifted",
    "gluster_seen.VolumeKnown/absent": "it only reads, so nothing is ever missing",
    "lvm_tails.TailEmpty/absent": "a check: what a machine wrote there is not ours to remove",
    "zfs.ZfsReady/absent": "a check: compiling modules on a host is left to a person",
    "zfs.PoolReady/absent": "a check: a pool that is missing is imported, or its disks are named",
    "zfs_datasets.OnlyKnownDatasets/absent": "a check: data sets of others are refused, and never removed",
    "known.FactsKnown/absent": "it only reads, so nothing is ever missing",
    "known.FactsKnown/present": "test_facts.py reads recordings of whole hosts",
    "known.FactsKnown/in-the-way": "test_facts.py has a host of another system",
    "known.FactsKnown/unreadable": "test_facts.py has silent hosts",
}
"""``module.Class/case`` -> why this step cannot have that case."""


def text(value: str | list[str] | dict[str, str]) -> str:
    if isinstance(value, dict):
        return inspect.getsource(import_module(value["source_of"]))
    return value if isinstance(value, str) else "".join(f"{line}\n" for line in value)


def answer(status: int, out: str | list[str], err: str | list[str]) -> Output:
    return Output(status, text(out).encode("utf-8", "surrogateescape"), text(err))


def build(kind: Any, value: Any) -> Any:
    """Return a JSON value as the annotation wants it: tuples, enums and nested dataclasses."""
    if get_origin(kind) in {Union, UnionType}:
        if value is None:
            return None
        kind = next(arm for arm in get_args(kind) if arm is not type(None))
    if get_origin(kind) is tuple:
        return tuple(build(get_args(kind)[0], item) for item in value)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: build(hints[name], item) for name, item in value.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value


def as_case(operation: Operation | None) -> Any:
    """Return an operation as the case files write it."""
    match operation:
        case None:
            return None
        case WriteFile():
            told: dict[str, Any] = {"write": operation.path, "content": operation.content}
            defaults = {"mode": "0644", "owner": "root", "group": "root"}
            told |= {key: given for key, usual in defaults.items() if (given := getattr(operation, key)) != usual}
            return told | ({"replaces": True} if operation.before is not None else {})
        case EditLines():
            parts = {"old": operation.old, "new": operation.new, "by": line_of(operation.command)}
            return {"edit": operation.path} | {key: said for key, said in parts.items() if said}
        case Detached():
            told = {"detached": line_of(operation.command)}
            told |= {"growing": operation.growing} if operation.growing else {}
            told |= {"meter": shlex.join(operation.meter.argv)} if operation.meter else {}
            told |= {"counted": operation.counted} if operation.counted else {}
            told |= {"tells": True} if operation.tells else {}
            return told | ({"total": operation.total} if operation.total else {})
        case Command():
            line = line_of(operation)
            if not operation.stdin:
                return line
            told = {"run": line, "stdin": operation.stdin}
            return told | ({"secret": True} if operation.secret else {})
    raise AssertionError(operation)


def line_of(command: Command) -> str:
    return shlex.join(SCRIPTS.get(part, part) for part in command.argv)


def action_as_case(action: Action) -> list[Any]:
    words = [word for word in ("scratch", "final", "harmless") if getattr(action, word)]
    return [as_case(action.do), as_case(action.undo), *words]


def normal(action: list[Any]) -> list[Any]:
    """Return an action of a case file with its texts joined."""
    for part in action:
        if isinstance(part, dict):
            part.update({key: text(part[key]) for key in ("content", "stdin") if key in part})
            if "stdin" in part:
                part["stdin"] = encode(part["stdin"])
    return action


def step_classes() -> Iterator[tuple[str, type[Any]]]:
    for module in iter_modules(hosts.__path__):
        place = f"datastores.hosts.{module.name}"
        for name, found in vars(import_module(place)).items():
            ours = isinstance(found, type) and found.__module__ == place
            if ours and all(hasattr(found, part) for part in ("__dataclass_fields__", "reads", "facts", "plan")):
                yield f"{module.name}.{name}", found


STEPS = dict(step_classes())
PATHS = sorted(CASES.rglob("*.json"))


def strings(value: Any) -> Iterator[str]:
    """Yield every text that a step was made with."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from strings(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from strings(getattr(value, field.name))


def assert_no_shell_text(step: AnyStep, commands: list[Command]) -> None:
    """A script given to a shell is a constant: nothing that the step was made with is in it."""
    for command in commands:
        assert all(isinstance(part, str) for part in command.argv), command.argv
        if Path(command.argv[0]).name in {"sh", "bash", "dash"} and command.argv[2] not in CONSTANT:
            assert command.argv[1] == "-c", command.argv
            inside = [given for given in strings(step) if len(given) > 2 and given in command.argv[2]]
            assert not inside, f"{inside} became part of a shell script"


def commands_of(operation: Operation | None) -> list[Command]:
    match operation:
        case None:
            return []
        case WriteFile():
            return [*operation.commands, operation.undo]
        case Detached() | EditLines():
            return [operation.command]
    return [operation]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_step(path: Path) -> None:
    case = json.loads(path.read_text())
    assert len(OUTCOMES & case.keys()) == 1, f"a case says one of {sorted(OUTCOMES)}"
    if "bad_input" in case:
        with pytest.raises(BadInput, match=case["bad_input"]):
            build(STEPS[path.parent.name], case["step"])
        return
    step: AnyStep = build(STEPS[path.parent.name], case["step"])
    assert step.title
    assert [shlex.join(command.argv) for command in step.reads()] == [line for line, *_ in case["reads"]]
    assert all(0 < command.timeout <= 60 for command in step.reads())
    assert_no_shell_text(step, list(step.reads()))
    outputs = [answer(*said) for _, *said in case["reads"]]
    if "unreadable" in case:
        with pytest.raises(CommandFailed, match=case["unreadable"]):
            step.facts(outputs)
        return
    if "refused" in case:
        with pytest.raises(Refused, match=case["refused"]):
            step.plan(step.facts(outputs))
        return
    change = step.plan(step.facts(outputs))
    if "unchanged" in case:
        assert change is None
        return
    assert change is not None
    assert change.summary
    assert [action_as_case(action) for action in change.actions] == [normal(action) for action in case["actions"]]
    for action in change.actions:
        assert_no_shell_text(step, commands_of(action.do) + commands_of(action.undo))
    if "then" in case:
        assert step.plan(step.facts([answer(*said) for said in case["then"]])) is None


def test_every_folder_of_cases_belongs_to_a_step() -> None:
    assert {path.parent.name for path in PATHS} <= STEPS.keys()


@pytest.mark.parametrize("name", sorted(STEPS))
def test_every_step_has_its_four_cases(name: str) -> None:
    there = {path.stem: json.loads(path.read_text()) for path in PATHS if path.parent.name == name}
    missing = [case for case, key in NEEDED.items() if key not in there.get(case, {})]
    if "refused" not in there.get("in-the-way", {}) and "actions" not in there.get("other", {}):
        missing.append("in-the-way")
    unexplained = [case for case in missing if not EXEMPT.get(f"{name}/{case}")]
    assert not unexplained, f"{name} has no case {', '.join(unexplained)} in {CASES / name}"


def test_exemptions_are_still_needed() -> None:
    for exemption in EXEMPT:
        name, case = exemption.split("/")
        assert name in STEPS
        assert not (CASES / name / f"{case}.json").exists(), f"{exemption} has its case now"

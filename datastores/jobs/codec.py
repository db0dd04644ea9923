"""Changes as JSON: for the plan page, for comparing with what was approved, and for the journal."""

from __future__ import annotations

from typing import Any

from datastores.domain.plan import Action, Change, Command, Detached, EditLines, Operation, WriteFile

HIDDEN = "(secret)"


def encode_command(command: Command) -> dict[str, Any]:
    """Return the command without secrets."""
    encoded: dict[str, Any] = {"argv": list(command.argv), "root": command.root, "timeout": command.timeout}
    if command.stdin:
        encoded["stdin"] = HIDDEN if command.secret else command.stdin
    return encoded


def decode_command(data: dict[str, Any]) -> Command:
    """Return a stored command; one whose stdin was secret cannot be run again.

    :raises ValueError: its secret was not stored.
    """
    if data.get("stdin") == HIDDEN:
        raise ValueError("a command with a secret on stdin cannot be replayed")
    return Command(tuple(data["argv"]), root=data["root"], timeout=data["timeout"], stdin=data.get("stdin", ""))


def encode_operation(operation: Operation) -> dict[str, Any]:
    """Return what is done; how far it is told to be is no part of that."""
    if isinstance(operation, Detached):
        return {"type": "detached", **encode_command(operation.command)}
    if isinstance(operation, WriteFile):
        return {
            "type": "write",
            "path": operation.path,
            "owner": operation.owner,
            "group": operation.group,
            "mode": operation.mode,
            "diff": operation.diff,
        }
    if isinstance(operation, EditLines):
        return {"type": "lines", "path": operation.path, "diff": operation.diff, **encode_command(operation.command)}
    return {"type": "command", **encode_command(operation)}


def encode_action(action: Action) -> dict[str, Any]:
    return {
        "do": encode_operation(action.do),
        "undo": encode_command(action.undo) if action.undo else None,
        "scratch": action.scratch,
        "final": action.final,
        "harmless": action.harmless,
    }


def encode_change(change: Change | None) -> dict[str, Any] | None:
    """Return the change as JSON data; equal changes give equal data."""
    if change is None:
        return None
    return {
        "summary": change.summary,
        "note": change.note,
        "actions": [encode_action(action) for action in change.actions],
    }

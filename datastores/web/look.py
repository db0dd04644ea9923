"""Colour and icon of every state; the word is the state itself. Jobs and steps: ``jobs.view``."""

from __future__ import annotations

from datastores.domain import alert_rules
from datastores.domain.alert_rules import Severity
from datastores.domain.states import HostState, ObjectState
from datastores.models import Alert, Datastore, Drift, User, VirtualMachine

Look = tuple[str, str]
UNKNOWN: Look = ("idle", "question-circle")

OBJECT_LOOK: dict[str, Look] = {
    ObjectState.PENDING: ("run", "hourglass-split"),
    ObjectState.READY: ("ok", "check2"),
    ObjectState.IN_USE: ("ok", "link-45deg"),
    ObjectState.CHANGING: ("run", "arrow-repeat"),
    ObjectState.DELETING: ("run", "trash"),
    ObjectState.ERROR: ("bad", "x-lg"),
}
HOST_LOOK: dict[str, Look] = {
    HostState.NEW: ("idle", "plus-circle"),
    HostState.READY: ("ok", "check2"),
    HostState.UNREACHABLE: ("bad", "plug"),
    HostState.QUARANTINED: ("bad", "shield-exclamation"),
    "maintenance": ("warn", "wrench"),
}
VM_LOOK: dict[str, Look] = {
    VirtualMachine.State.OFF: ("idle", "power"),
    VirtualMachine.State.RUNNING: ("ok", "play-fill"),
    VirtualMachine.State.STOPPED: ("warn", "pause-circle"),
}
ROLE_LOOK: dict[str, Look] = {
    User.Role.ADMIN: ("warn", "shield-lock"),
    User.Role.OPERATOR: ("run", "wrench"),
    User.Role.TENANT: ("idle", "person"),
    User.Role.AUDITOR: ("idle", "eye"),
}
DRIFT_LOOK: dict[str, Look] = {
    Drift.State.OPEN: ("warn", "exclamation-triangle"),
    Drift.State.ACCEPTED: ("idle", "hand-index"),
    Drift.State.REPAIRED: ("ok", "wrench"),
    Drift.State.GONE: ("ok", "check2"),
}
DRIFT_KIND_LOOK: dict[str, Look] = {
    Drift.Kind.MISSING: ("bad", "x-lg"),
    Drift.Kind.ALTERED: ("bad", "file-diff"),
    Drift.Kind.BLOCKED: ("bad", "signpost-split"),
    Drift.Kind.DIFFERS: ("warn", "file-diff"),
    Drift.Kind.FOREIGN: ("warn", "question-circle"),
}
RESULT_LOOK: dict[str, Look] = {
    "asked": ("idle", "hand-index"),
    "approved": ("ok", "check2-all"),
    "done": ("ok", "check2"),
    "succeeded": ("ok", "check2"),
    "failed": ("bad", "x-lg"),
    "errored": ("bad", "exclamation-octagon"),
    "cancelled": ("idle", "slash-circle"),
    "undone": ("idle", "arrow-counterclockwise"),
    "quarantined": ("bad", "shield-exclamation"),
    "refused": ("bad", "shield-exclamation"),
}
ALERT_LOOK: dict[str, Look] = {
    Alert.State.PENDING: ("idle", "clock"),
    Alert.State.FIRING: ("bad", "bell"),
    Alert.State.ACKNOWLEDGED: ("run", "eye"),
    Alert.State.RESOLVED: ("ok", "check2"),
}
SEVERITY_LOOK: dict[str, Look] = {
    Severity.CRITICAL: ("bad", "exclamation-octagon"),
    Severity.WARNING: ("warn", "exclamation-triangle"),
}
TYPE_WORDS: dict[str, str] = {
    Datastore.Type.IMAGE: "img",
    Datastore.Type.SYSTEM: "sys",
    Datastore.Type.FILE: "fil",
}
"""As operators know them."""
FULL, NEARLY_FULL = (round(100 * rule.limit) for rule in (alert_rules.FULL, alert_rules.FILLING))
"""Percent of a datastore at which it is shown as full, and as filling up."""


def fullness(percent: int) -> str:
    """Return the tone of a datastore's bar."""
    return "bad" if percent >= FULL else "warn" if percent >= NEARLY_FULL else ""

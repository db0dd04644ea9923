"""Audit entries as sentences: "admin made Giunti-Data persistent"."""

from __future__ import annotations

from datastores.jobs.kinds import KINDS
from datastores.models import AuditEntry

DONE = {
    "host.create": "added the host {target}",
    "host.change": "changed the host {target}",
    "host.delete": "deleted the host {target}",
    "host.scan": "read the keys of {target}",
    "host.pin": "pinned the key of {target}",
    "host.quarantined": "put {target} into quarantine",
    "cluster.create": "made the cluster {target}",
    "cluster.change": "changed the cluster {target}",
    "cluster.delete": "deleted the cluster {target}",
    "datastore.change": "changed the datastore {target}",
    "credential.create": "stored the key {target}",
    "credential.delete": "deleted the key {target}",
    "alert.acknowledge": "acknowledged the alert {target}",
    "alert.gone": "said that the worker is gone for good: {target}",
    "image.rename": "renamed the image {before} to {after}",
    "nas.unpin": "unpinned {lun}, which was the image {target}",
    "settings.change": "changed the settings of {target}",
    "target.create": "has {target} told of events",
    "target.change": "changed what {target} is told of",
    "target.delete": "has {target} told of nothing any more",
    "target.test": "sent a test to {target}",
    "vm.create": "made the virtual machine {target}",
    "vm.delete": "deleted the virtual machine {target}",
    "vm.state": "noted that {target} is {after}",
    "drift.scan": "asked for a scan of {target} for drift",
    "drift.accept": "accepted as it is: {statement}, of {target}",
    "drift.reopen": "took back that this is accepted: {statement}, of {target}",
    "user.create": "made the account {target}",
    "user.change": "changed the account {target}",
    "user.password": "set the password of {target}",
    "user.sign_in": "signed in",
    "user.activate": "let {target} sign in again",
    "user.deactivate": "deactivated {target}",
}
SWITCHED = {"image.persistent": "made not persistent", "host.maintenance": "took into out of maintenance"}
STEERED = {
    "approve": "approved the plan of",
    "plan": "had the plan made again of",
    "cancel": "asked to cancel",
    "retry": "tried again:",
    "undo": "asked to take back:",
    "keep": "decided not to take back:",
}


def sentence(entry: AuditEntry) -> str:
    """Return what the actor did, without the actor."""
    words = {"target": entry.target, "before": "", "after": "", "statement": "", "lun": ""} | {
        name: value for name, value in entry.detail.items() if isinstance(value, str)
    }
    if (entry.action, entry.result) == ("user.sign_in", "refused"):
        return f"let nobody in as {entry.target}: the password was wrong"
    if entry.action in DONE:
        return DONE[entry.action].format_map(words)
    if entry.action in SWITCHED:
        return switched(entry)
    if case := KINDS.get(entry.action):
        what = f"{case.label.lower()} {entry.target}"
        return f"asked to {what}" if entry.result == "asked" else f"{what}: {entry.result}"
    kind, _, how = entry.action.rpartition(".")
    if kind in KINDS and how in STEERED:
        return f"{STEERED[how]} {KINDS[kind].label.lower()} {entry.target}"
    return f"{entry.action} {entry.target}"


def actions_saying(word: str) -> list[str]:
    """Return the actions in whose sentences the word is."""
    said = {action: words.replace("{target}", "") for action, words in DONE.items()} | SWITCHED
    for kind, case in KINDS.items():
        said[kind] = f"asked to {case.label}"
        said |= {f"{kind}.{how}": f"{words} {case.label}" for how, words in STEERED.items()}
    return [action for action, words in said.items() if word.lower() in words.lower()]


def kind_words(kind: str) -> str:
    """Return what a kind of job does: "Compute checksum"."""
    return KINDS[kind].label.removesuffix(" of") if kind in KINDS else kind


def switched(entry: AuditEntry) -> str:
    on = bool(entry.detail.get("after"))
    if entry.action == "image.persistent":
        return f"made {entry.target} {'persistent' if on else 'not persistent'}"
    return f"took {entry.target} {'into' if on else 'out of'} maintenance"

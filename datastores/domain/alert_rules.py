"""The rules of what needs a person: how bad, for how long it must hold, and what to do next.

Each limit is here, and nowhere else. ``deploy/monitoring/alerts.yml`` says the same to Prometheus; a test compares
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MINUTE, HOUR, DAY = 60, 3600, 86400


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """``word``: for a badge. ``advice``: what to do next. ``limit``: from which value on it is so, where there is one.

    ``hold``: seconds that it must be so before anybody is told; ``clear``: that it must not be so any more.
    """

    name: str
    word: str
    severity: Severity
    summary: str
    advice: str
    hold: int = 2 * MINUTE
    clear: int = 5 * MINUTE
    limit: float = 0.0


FILLING = Rule(
    "datastore_filling",
    "filling up",
    Severity.WARNING,
    "Datastore is filling up",
    "Delete or move its largest images.",
    limit=0.80,
)
FULL = Rule(
    "datastore_full", "nearly full", Severity.CRITICAL, "Datastore is nearly full",
    "Make room now: a full datastore stops the virtual machines that write to it.", limit=0.90,
)  # fmt: skip
FULL_SOON = Rule(
    "datastore_full_soon", "full soon", Severity.WARNING, "Datastore will be full within two weeks",
    "Plan for more room, or move images elsewhere.", hold=30 * MINUTE, clear=2 * HOUR, limit=14 * DAY,
)  # fmt: skip
FULL_VERY_SOON = Rule(
    "datastore_full_very_soon", "full very soon", Severity.CRITICAL, "Datastore will be full within three days",
    "Make room, or find out what grows.", hold=30 * MINUTE, clear=2 * HOUR, limit=3 * DAY,
)  # fmt: skip
OVERCOMMITTED = Rule(
    "datastore_overcommitted", "overcommitted", Severity.WARNING, "Datastore has promised more than it has",
    "Make no more disks there, or add room before they fill up.", hold=10 * MINUTE, clear=10 * MINUTE, limit=1.0,
)  # fmt: skip
INODES = Rule(
    "datastore_inodes", "few inodes", Severity.WARNING, "Datastore runs out of inodes",
    "Delete files that are not needed: no file can be made without an inode.", limit=0.90,
)  # fmt: skip
NOT_MEASURED = Rule(
    "datastore_not_measured", "not measured", Severity.CRITICAL, "Datastore cannot be measured",
    "See whether it is mounted, and whether its storage host answers.", limit=15 * MINUTE,
)  # fmt: skip
STALE_MOUNT = Rule(
    "stale_mount", "stale mount", Severity.CRITICAL, "Host does not see a datastore",
    "See whether the server behind it answers, and mount it again on that host.", hold=6 * MINUTE, clear=MINUTE,
)  # fmt: skip
VOLUME_UNWELL = Rule(
    "volume_unwell", "not well", Severity.WARNING, "Volume of a datastore is not well",
    "See its page: start or replace what is missing, and heal.", hold=10 * MINUTE, clear=5 * MINUTE,
)  # fmt: skip
UNREACHABLE = Rule(
    "host_unreachable", "unreachable", Severity.CRITICAL, "Host does not answer",
    "See whether it runs, and read it again.", hold=MINUTE, clear=MINUTE,
)  # fmt: skip
QUARANTINED = Rule(
    "host_quarantined", "quarantined", Severity.CRITICAL, "Host has another key than the pinned one",
    "Compare its key with the one on its console.", hold=0, clear=0,
)  # fmt: skip
CLOCK = Rule(
    "clock_skew", "wrong clock", Severity.WARNING, "Clock of a host is wrong", "Set up NTP there.",
    hold=0, clear=5 * MINUTE, limit=1.0,
)  # fmt: skip
WORKER_LOST = Rule(
    "worker_lost", "worker lost", Severity.WARNING, "Worker was lost",
    "See why in the log of the workers on that machine: log/workers.log in the data directory, or journalctl -u "
    "cloudstore-workers.",
    hold=0, clear=MINUTE, limit=90.0,
)  # fmt: skip
NO_WORKER = Rule(
    "queue_without_worker",
    "no worker",
    Severity.CRITICAL,
    "Queue has no worker",
    "Start the workers.",
    hold=MINUTE,
    clear=MINUTE,
)
QUEUE_STUCK = Rule(
    "queue_stuck", "stuck", Severity.WARNING, "Queue does not move", "See what its workers do, or start more of them.",
    limit=15 * MINUTE,
)  # fmt: skip
QUEUES_DOWN = Rule(
    "queues_unreachable", "unreachable", Severity.CRITICAL, "Redis does not answer",
    "Start it: no job is handed over without it.", hold=MINUTE, clear=MINUTE,
)  # fmt: skip
DUTY_LATE = Rule(
    "duty_late", "late", Severity.CRITICAL, "Schedule has stopped",
    "Start the workers with the schedule, or see their log.", limit=10 * MINUTE,
)  # fmt: skip
INTERRUPTED = Rule(
    "job_interrupted", "interrupted", Severity.WARNING, "Job is interrupted for long", "Resume it, or take it back.",
    hold=0, clear=0, limit=30 * MINUTE,
)  # fmt: skip

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        FULL, FILLING, FULL_VERY_SOON, FULL_SOON, OVERCOMMITTED, INODES, NOT_MEASURED, STALE_MOUNT, VOLUME_UNWELL,
        UNREACHABLE, QUARANTINED, CLOCK, WORKER_LOST, NO_WORKER, QUEUE_STUCK, QUEUES_DOWN, DUTY_LATE, INTERRUPTED,
    )
}  # fmt: skip
WORSE = {FILLING.name: FULL.name, FULL_SOON.name: FULL_VERY_SOON.name}
"""The rule that takes the place of another: where it holds, the other has not come to a good end."""
LOST_AT_LEAST = 10 * MINUTE
"""For how long a lost worker is told of though another has taken its place: one that is killed again and again must not
go unnoticed."""
OF_QUEUES = frozenset({WORKER_LOST.name, NO_WORKER.name, QUEUE_STUCK.name})
"""Rules of which nothing is known while Redis does not answer."""
LONG_QUEUES = {"transfer": 4 * HOUR}
"""Where waiting longer than the rule's limit is usual: a copy takes as long as it takes."""

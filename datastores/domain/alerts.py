"""What is wrong with a cloud, from what is known of it. Knows no database and no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from datastores.domain.alert_facts import DatastoreFacts, Facts, HostFacts, QueueFacts, RoomFacts, WorkerFacts
from datastores.domain.alert_rules import (
    CLOCK,
    DAY,
    DUTY_LATE,
    FILLING,
    FULL,
    FULL_SOON,
    FULL_VERY_SOON,
    HOUR,
    INODES,
    INTERRUPTED,
    LONG_QUEUES,
    LOST_AT_LEAST,
    MINUTE,
    NO_WORKER,
    NOT_MEASURED,
    OF_QUEUES,
    OVERCOMMITTED,
    QUARANTINED,
    QUEUE_STUCK,
    QUEUES_DOWN,
    STALE_MOUNT,
    UNREACHABLE,
    VOLUME_UNWELL,
    WORKER_LOST,
    Rule,
)
from datastores.domain.states import HostState
from datastores.domain.values import format_size


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that holds of a subject now. ``subject``: a key such as "datastore:3"; ``label``: its name for people."""

    rule: Rule
    subject: str
    label: str
    text: str
    value: float | None = None
    detail: dict[str, Any] = field(default_factory=dict, compare=False, hash=False)
    """What the rule has to know again when it asks who told of it has forgotten."""


def findings(facts: Facts) -> list[Finding]:
    """Return everything that is wrong, as the rules say."""
    found = [finding for each in facts.datastores for finding in of_datastore(each)]
    found += [finding for each in facts.hosts for finding in of_host(each)]
    found += [
        Finding(STALE_MOUNT, f"mount:{one.datastore}:{one.host}", f"{one.datastore_name} on {one.host_name}", one.text)
        for one in facts.unseen
    ]
    found += [finding for one in facts.rooms for finding in of_room(one)]
    found += of_queues(facts.queues, facts.workers)
    found += [
        Finding(DUTY_LATE, f"duty:{name}", name, f"{name} was due {span(late)} ago.", late)
        for name, late in facts.late
        if late > DUTY_LATE.limit
    ]
    found += [
        Finding(INTERRUPTED, f"job:{job.uuid}", job.title, f"Nobody has worked on it for {span(job.seconds)}.",
                job.seconds)
        for job in facts.jobs
        if job.seconds > INTERRUPTED.limit
    ]  # fmt: skip
    return found


def not_known(facts: Facts) -> frozenset[str]:
    """Return the rules of which these facts say nothing: what is not known has neither begun nor ended."""
    return OF_QUEUES if facts.workers is None or facts.queues is None else frozenset()


def known_subjects(facts: Facts) -> frozenset[str]:
    """Return the subjects that are there, of the kinds that can be deleted."""
    return frozenset([f"datastore:{one.pk}" for one in facts.datastores] + [f"host:{one.pk}" for one in facts.hosts])


def is_gone(subject: str, known: frozenset[str]) -> bool:
    """Tell whether the subject of an alert is a datastore or host that is not there any more, or was about one."""
    kind, _, key = subject.partition(":")
    if kind == "mount":
        datastore, _, host = key.partition(":")
        return not {f"datastore:{datastore}", f"host:{host}"} <= known
    return subject.startswith(("datastore:", "host:")) and subject not in known


def of_datastore(one: DatastoreFacts) -> Iterator[Finding]:
    subject = f"datastore:{one.pk}"
    if one.error:
        yield Finding(NOT_MEASURED, subject, one.name, one.error, one.age)
    elif one.expected and one.age > NOT_MEASURED.limit:
        yield Finding(NOT_MEASURED, subject, one.name, f"It was measured {span(one.age)} ago.", one.age)
    if one.problems:
        more = f" And {len(one.problems) - 1} more." if one.problems[1:] else ""
        yield Finding(VOLUME_UNWELL, subject, one.name, f"{one.problems[0]}{more}", float(len(one.problems)))
    if one.total > 0:
        yield from _of_space(one, subject)
    if one.days_to_full is not None:
        yield from _of_growth(one, subject, one.days_to_full)
    if one.inodes > 0 and (share := one.inodes_used / one.inodes) >= INODES.limit:
        yield Finding(INODES, subject, one.name, f"{percent(share)} of its {one.inodes:,} inodes are used.", share)


def _of_space(one: DatastoreFacts, subject: str) -> Iterator[Finding]:
    share = one.used / one.total
    if share >= FILLING.limit:
        rule = FULL if share >= FULL.limit else FILLING
        yield Finding(rule, subject, one.name, f"{percent(share)} used, {format_size(max(0, one.free))} free.", share)
    promised = (one.used + one.promised) / one.total
    if promised > OVERCOMMITTED.limit:
        used, more, total = (format_size(each) for each in (one.used, one.promised, one.total))
        words = f"{used} used and {more} more promised of {total}."
        yield Finding(OVERCOMMITTED, subject, one.name, words, promised)


def of_room(one: RoomFacts) -> Iterator[Finding]:
    share = one.used / one.total if one.total else 0.0
    if share >= FILLING.limit:
        subject, label = f"mount:{one.datastore}:{one.host}", f"{one.datastore_name} on {one.host_name}"
        text = f"{percent(share)} used, {format_size(max(0, one.free))} free."
        yield Finding(FULL if share >= FULL.limit else FILLING, subject, label, text, share)


def _of_growth(one: DatastoreFacts, subject: str, days: float) -> Iterator[Finding]:
    if days * DAY < FULL_SOON.limit:
        rule = FULL_VERY_SOON if days * DAY < FULL_VERY_SOON.limit else FULL_SOON
        yield Finding(rule, subject, one.name, f"Full in about {span(days * DAY)} at the pace of late.", days * DAY)


def of_host(host: HostFacts) -> Iterator[Finding]:
    subject = f"host:{host.pk}"
    if host.state == HostState.QUARANTINED:
        words = "Its host key is not the pinned one. Jobs for it are refused."
        yield Finding(QUARANTINED, subject, host.name, words)
    elif host.state == HostState.UNREACHABLE and not host.maintenance:
        yield Finding(UNREACHABLE, subject, host.name, host.error or "It does not answer.")
    skew = host.clock_skew
    if host.state == HostState.READY and skew is not None and abs(skew) > CLOCK.limit:
        ahead = "ahead of" if skew > 0 else "behind"
        yield Finding(CLOCK, subject, host.name, f"Its clock is {abs(skew):.1f} s {ahead} ours.", skew)


def of_queues(queues: Iterable[QueueFacts] | None, workers: Iterable[WorkerFacts] | None) -> list[Finding]:
    """Return what is wrong with the queues and those who work on them."""
    if queues is None or workers is None:
        return [Finding(QUEUES_DOWN, "redis", "Redis", "Jobs wait in their rows until it answers.")]
    known = list(workers)
    found = [
        Finding(WORKER_LOST, f"worker:{each.name}", each.name,
                f"It was last heard of {span(each.silent_seconds)} ago, and worked on {each.words}. "
                "Its jobs are handed to another worker.",
                each.silent_seconds, {"host": each.host, "queues": list(each.queues)})
        for each in missed(known)
    ]  # fmt: skip
    manned = {name for each in known if not is_lost(each) for name in each.queues}
    for queue in queues:
        subject = f"queue:{queue.name}"
        if queue.name not in manned:
            text = f"No worker of it was heard of lately, and {queue.depth} entries wait in it."
            found.append(Finding(NO_WORKER, subject, queue.name, text, float(queue.depth)))
        if queue.oldest_seconds > LONG_QUEUES.get(queue.name, QUEUE_STUCK.limit):
            text = f"The first of the {queue.depth} entries has waited for {span(queue.oldest_seconds)}."
            found.append(Finding(QUEUE_STUCK, subject, queue.name, text, queue.oldest_seconds))
    return found


def is_lost(worker: WorkerFacts) -> bool:
    """Tell whether a worker, which beats every few seconds and never said goodbye, is not heard of any more."""
    return worker.silent_seconds > WORKER_LOST.limit


def missed(workers: Iterable[WorkerFacts]) -> list[WorkerFacts]:
    """Return the workers that are lost, without those whose place was taken a while ago.

    The place is taken by one that was started on that machine, for the same queues, after the other fell silent; each
    takes the place of one.
    """
    known = list(workers)
    started = sorted((each for each in known if not is_lost(each)), key=lambda each: -each.age_seconds)
    found = []
    for lost in sorted((each for each in known if is_lost(each)), key=lambda each: -each.silent_seconds):
        heir = next((each for each in started if each.takes_place_of(lost)), None)
        if heir:
            started.remove(heir)
        if heir is None or lost.silent_seconds < LOST_AT_LEAST:
            found.append(lost)
    return found


def percent(share: float) -> str:
    """Return "85 %"; rounded down, so that nothing is full before it is."""
    return f"{int(share * 100 + 1e-9)} %"


def span(seconds: float) -> str:
    """Return "40 s", "12 min", "5 h" or "3 days"."""
    for size, word in ((2 * DAY, "days"), (2 * HOUR, "h"), (2 * MINUTE, "min")):
        if seconds >= size:
            return f"{round(seconds / (size // 2))} {word}"
    return f"{round(seconds)} s"

"""Tallies of jobs that have ended: counters and histograms that go on when the jobs themselves are deleted.

They are brought forward from the audit trail: each end writes its entry in the transaction of the end, entries are
numbered in the order in which they are committed, and none is ever deleted. So an end is counted once, and what a
worker does for a job does not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from datastores.domain.histograms import CLONES, DURATIONS, bucket_of, empty
from datastores.domain.states import ENDED, JobState
from datastores.models import AuditEntry, Job, Tally
from datastores.models.jobs import UNDONE

READ, ENDS, DURATION, RUNNING, CLONE = "read", "ends", "duration", "running", "clone"
"""Measures: how far the trail was read, jobs that ended, their times from the queue on and those of the running part,
and those of clones from the click on."""
BOUNDS: dict[str, Sequence[float]] = {DURATION: DURATIONS, RUNNING: DURATIONS, CLONE: CLONES}
RESULTS = (*ENDED, UNDONE)
CLONE_KIND = "disk.create"
AT_ONCE = 5000
"""Entries read in one transaction."""
Key = tuple[str, str, str]


def count_ends(kinds: Iterable[str]) -> int:
    """Count the ends that have not been counted, of jobs of these kinds; return how many there were."""
    known, counted = list(kinds), 0
    while (found := _count_some(known)) is not None:
        counted += found
    return counted


def _count_some(kinds: list[str]) -> int | None:
    """Count those in the next entries of the trail; None: there are no more entries.

    Two who do it at once do it one after the other.
    """
    with transaction.atomic():
        mark, _ = Tally.objects.select_for_update().get_or_create(measure=READ, kind="", state="")
        last = AuditEntry.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
        upto = min(last, mark.count + AT_ONCE)
        if upto <= mark.count:
            return None
        entries = AuditEntry.objects.filter(seq__gt=mark.count, seq__lte=upto, result__in=RESULTS, action__in=kinds)
        ends = list(entries.order_by("seq").values_list("action", "result", "job_uuid", "at"))
        add(ends)
        Tally.objects.filter(pk=mark.pk).update(count=upto)
    return len(ends)


def add(ends: Sequence[tuple[str, str, UUID | None, datetime]]) -> None:
    """Add ends, as (kind, state, job, when), to the tallies. Of a job that ended twice, the last end has its times."""
    tallies = {(each.measure, each.kind, each.state): each for each in Tally.objects.exclude(measure=READ)}
    changed: dict[Key, Tally] = {}

    def tally(measure: str, kind: str, state: str) -> Tally:
        key, buckets = (measure, kind, state), empty(BOUNDS[measure]) if measure in BOUNDS else []
        fresh = Tally(measure=measure, kind=kind, state=state, buckets=buckets)
        return changed.setdefault(key, tallies.get(key, fresh))

    for kind, state, _, _ in ends:
        tally(ENDS, kind, state).count += 1
    last = {uuid: (kind, state, at) for kind, state, uuid, at in ends if uuid}
    columns = ("uuid", "created_at", "queued_at", "started_at", "ended_at")
    for uuid, created, queued, started, ended in Job.objects.filter(uuid__in=last).values_list(*columns):
        kind, state, at = last[uuid]
        if ended is None or ended > at:  # it was tried again since
            continue
        observe(tally(DURATION, kind, state), (ended - queued).total_seconds())
        if started:
            observe(tally(RUNNING, kind, state), (ended - max(started, queued)).total_seconds())
        if (kind, state) == (CLONE_KIND, JobState.SUCCEEDED):
            observe(tally(CLONE, "", ""), (ended - created).total_seconds())
    Tally.objects.bulk_create([each for each in changed.values() if each.pk is None])
    Tally.objects.bulk_update([each for each in changed.values() if each.pk], ["count", "seconds", "buckets"])


def observe(tally: Tally, seconds: float) -> None:
    """Add a time. A clock that was set back makes none of less than nothing."""
    seconds = max(0.0, seconds)
    tally.count += 1
    tally.seconds += seconds
    tally.buckets[bucket_of(seconds, BOUNDS[tally.measure])] += 1

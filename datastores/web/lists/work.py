"""Which jobs work on the rows of a list's page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import CharField, Count, Max, Q, Value
from django.db.models.functions import Cast, Concat

from datastores.models import Job, Lease, User


@dataclass(frozen=True, slots=True)
class Work:
    """The job that changes a row, or else the newest that uses it; ``jobs``: how many are about it."""

    job: Job
    jobs: int


def work_on(resource: str, keys: Iterable[int], user: User) -> dict[int, Work]:
    """Return the work on each of the rows that is worked on. ``resource``: as leases and jobs call them, "image".

    Only of jobs that are about the row: of others the feed tells nothing that would let the row be read again.
    """
    names = {f"{resource}:{key}": key for key in keys}
    about = Concat(Value(f"{resource}:"), Cast(f"job__{resource}_id", CharField()))
    leases = Lease.objects.filter(resource__in=names).filter(resource=about)
    if not user.sees_everything:
        leases = leases.filter(job__in=Job.objects.visible_to(user))
    changing = Max("job", filter=Q(exclusive=True, granted=True))
    held = leases.order_by().values("resource").annotate(jobs=Count("pk"), changing=changing, newest=Max("job"))
    told = {names[row["resource"]]: (row["changing"] or row["newest"], row["jobs"]) for row in held}
    jobs = Job.objects.only("uuid", "title").in_bulk({job for job, _ in told.values()}) if told else {}
    return {key: Work(jobs[job], count) for key, (job, count) in told.items() if job in jobs}

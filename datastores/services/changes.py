"""What changes of an image and of a disk have in common: the row says so meanwhile, and comes back to what it was."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet

from datastores.domain.states import ObjectState
from datastores.models import Disk, Image, Job
from datastores.services.placing import require_ready, require_state
from datastores.services.usecase import OWNERS, Results, UseCase


class Change(UseCase):
    """A use case that changes the bytes of an image or disk that is there. ``of``: which target of the job that is."""

    roles = OWNERS
    of: ClassVar[str]
    model: ClassVar[type[Image] | type[Disk]]
    states: ClassVar[tuple[ObjectState, ...]] = (ObjectState.READY,)
    """From which it may begin."""
    meanwhile: ClassVar[ObjectState] = ObjectState.CHANGING

    def thing(self, job: Job) -> Image | Disk:
        changed: Image | Disk = getattr(job, self.of)
        return changed

    def rows(self, job: Job) -> QuerySet[Image] | QuerySet[Disk]:
        """Return the row of the thing; none when it is gone."""
        return self.model.objects.filter(pk=getattr(job, f"{self.of}_id"))

    def ask(self, job: Job) -> None:
        self._begin(job)

    def again(self, job: Job) -> None:
        self._begin(job)
        job.save(update_fields=["params"])

    def require_usable(self, job: Job) -> None:
        """Raise Refused when the thing, as it is now, cannot be changed."""
        require_ready(self.thing(job).datastore)
        require_state(self.thing(job), *self.states)

    def check(self, job: Job) -> None:
        """Check the request, each time that it is asked for or tried again.

        :raises CloudstoreError: as things stand it cannot be done.
        """

    def _begin(self, job: Job) -> None:
        """Mark the row, and remember the state that it comes back to when nothing was done."""
        self.require_usable(job)
        self.check(job)
        job.params = job.params | {"state": self.thing(job).state}
        self.rows(job).update(state=self.meanwhile)

    def resources(self, job: Job) -> dict[str, bool]:
        thing = self.thing(job)
        return {f"{self.of}:{thing.pk}": True, f"datastore:{thing.datastore_id}": False}

    def outdated(self, job: Job) -> dict[str, Any]:
        """Return the columns of the row that tell nothing any more, whichever way the job has ended."""
        return {}

    def succeeded(self, job: Job, results: Results) -> None:
        self.rows(job).update(state=ObjectState.READY, error="", **self.outdated(job))

    def failed(self, job: Job, error: str) -> None:
        self.rows(job).update(state=job.params["state"], error=error, **self.outdated(job))

    def lose(self, job: Job, error: str) -> None:
        """Mark the row of what is gone, or half gone: nothing but to delete it can be done any more."""
        self.rows(job).update(state=ObjectState.ERROR, error=error, **self.outdated(job))

    def cancelled(self, job: Job) -> None:
        self.rows(job).update(state=job.params["state"], **self.outdated(job))

"""Make a managed statement true again, after a look at the plan."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from datastores.domain.errors import Refused
from datastores.domain.plan import Plan, Stage
from datastores.models import Drift, Host, Job
from datastores.services import leases
from datastores.services.drift_scope import OF_GUARDS, Scope
from datastores.services.managed import find
from datastores.services.since import on_day
from datastores.services.usecase import Results, UseCase


class DriftRepair(UseCase):
    """Carry out the step of one statement, with those before it that it stands on, and no other.

    params: drift (id). Kept beside it: key and owner of the statement, and the datastore, image or disk it is about.

    What it is about serves its users meanwhile, also as long as the plan waits for a person.
    """

    kind = "drift.repair"
    label = "Repair drift of"
    queue = "provision"
    needs_approval = True
    never_at_once = True
    can_undo = True
    targets = ("host",)

    def ask(self, job: Job) -> None:
        drift = Drift.objects.select_related("host").filter(pk=job.params["drift"]).first()
        if drift is None or not drift.can_be_repaired:
            over = f": {drift.state} on {on_day(drift.closed_at)}" if drift and drift.closed_at else ""
            raise Refused(f"There is nothing here that a step could put right{over}. Look at it again.")
        job.host, job.datastore_id = drift.host, drift.datastore_id
        job.params |= {"key": drift.key, "owner": drift.owner, "datastore": drift.datastore_id}
        job.params |= {"image": drift.image_id, "disk": drift.disk_id}
        job.title = f"Repair {drift.label}: {drift.title}"[:300]
        job.target_label = drift.label
        self.check_still(job)

    def again(self, job: Job) -> None:
        self.check_still(job)

    def check_undo(self, job: Job) -> None:
        self.check_still(job)

    def check_still(self, job: Job) -> None:
        host = Host.objects.filter(pk=job.host_id).first()
        if host is None or not host.usable:
            state = "gone" if host is None else "in maintenance" if host.maintenance else host.state
            raise Refused(f"{host or 'The host'} is {state}.")
        self.plan(job)

    def resources(self, job: Job) -> dict[str, bool]:
        held = {f"drift:{job.params['drift']}": True, f"host:{job.host_id}": False}
        if not (datastore := job.params["datastore"]):
            return held
        if job.params["owner"] == OF_GUARDS:
            held[f"appliance of datastore:{datastore}"] = False
        return {**held, f"datastore:{datastore}": False, **leases.uses_hosts(datastore)}

    def plan(self, job: Job) -> Plan:
        about = {name: job.params[name] for name in ("datastore", "image", "disk")}
        found = find(job.params["key"], job.params["owner"], Scope(Host.objects.filter(pk=job.host_id), **about))
        if found is None:
            raise Refused("Nobody keeps this statement true any more, so there is nothing to repair.")
        return (Stage("repair", tuple(found[1])),)

    def succeeded(self, job: Job, results: Results) -> None:
        self._row(job).update(state=Drift.State.REPAIRED, closed_at=timezone.now())

    def undone(self, job: Job) -> None:
        self._row(job).update(state=Drift.State.OPEN, closed_at=None, last_seen=timezone.now())

    def cancelled(self, job: Job) -> None:
        """It differs as before."""

    def _row(self, job: Job) -> QuerySet[Drift]:
        return Drift.objects.filter(pk=job.params["drift"])

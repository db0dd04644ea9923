"""LUNs of appliances: found, pinned as images and unpinned; which hosts get there, and who is kept from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone

from datastores.domain.errors import BadInput, Refused
from datastores.domain.iscsi import portals
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import HostState, ObjectState
from datastores.domain.volumes import Format
from datastores.drivers.nas import NasDriver
from datastores.hosts.appliance_luns import LunsKnown, Met, PortalTried, SizedLun
from datastores.hosts.appliances import LunReached
from datastores.models import (
    Appliance,
    ApplianceGuard,
    ApplianceLun,
    ApplianceReach,
    Datastore,
    Drift,
    Host,
    Image,
    Job,
    User,
)
from datastores.models.audit import in_turn, record
from datastores.services import leases
from datastores.services.dependants import users_of
from datastores.services.image_making import ImageMaker
from datastores.services.images import new_image
from datastores.services.placing import driver_of, hosts_of, image_volume, require_ready, require_state
from datastores.services.usecase import CLOUD_STAFF, Results, UseCase
from datastores.services.viewers import listed


def appliance_of(datastore: Datastore) -> NasDriver:
    """Return the driver of a datastore on an appliance. Raises Refused for one of another kind."""
    driver = driver_of(datastore)
    if not isinstance(driver, NasDriver):
        raise Refused(f"{datastore.name} is a {driver.label} datastore: its volumes are made here, not found.")
    return driver


def other_hosts(datastore: Datastore) -> list[Host]:
    """Return the hosts that can be asked and have no business with the appliance.

    They are none of the datastore, and none of another on the same appliance.
    """
    mine = set(appliance_of(datastore).portals)
    options = Datastore.objects.filter(kind=NasDriver.kind).values_list("pk", "options")
    same = [pk for pk, given in options if mine.intersection(portals(given.get("portals", "")))]
    return list(askable().exclude(memberships__datastore__in=same))


def askable() -> QuerySet[Host]:
    return Host.objects.filter(state=HostState.READY, maintenance=False).defer("facts").order_by("name")


class ApplianceCase(UseCase):
    """A job about the appliance of a datastore. ``others``: on hosts that are none of the datastore, too.

    params: others (ids of these hosts, as they were when it was asked for).
    """

    queue = "monitor"
    can_wait = False
    roles = CLOUD_STAFF
    targets = ("datastore",)
    verb: ClassVar[str]
    others: ClassVar[bool] = False

    def ask(self, job: Job) -> None:
        self.again(job)
        job.title = f"{self.verb} {job.datastore.name}"[:300]
        job.target_label = job.datastore.name

    def again(self, job: Job) -> None:
        require_ready(job.datastore)
        appliance_of(job.datastore)
        if self.others:
            job.params["others"] = [host.pk for host in self.wanted(job)]
            if job.pk:
                job.save(update_fields=["params"])

    def wanted(self, job: Job) -> list[Host]:
        """Return the hosts that are none of the datastore and that the job is about."""
        return other_hosts(job.datastore)

    def others_of(self, job: Job) -> list[Host]:
        return list(Host.objects.filter(pk__in=job.params.get("others", ())).defer("facts").order_by("name"))

    def resources(self, job: Job) -> dict[str, bool]:
        hosts = {f"host:{host.pk}": False for host in (*hosts_of(job.datastore), *self.others_of(job))}
        if self.others:  # none of them becomes one of its hosts meanwhile
            hosts |= leases.uses_hosts(job.datastore_id)
        return {f"appliance of datastore:{job.datastore_id}": True, f"datastore:{job.datastore_id}": False, **hosts}


class LunsFind(ApplianceCase):
    """List what an appliance offers to the storage host, with sizes."""

    kind = "nas.find"
    label = "Find LUNs"
    verb = "Find LUNs of"

    def plan(self, job: Job) -> Plan:
        driver = appliance_of(job.datastore)
        what = driver.options.target, driver.account
        return (Stage("ask", tuple(LunsKnown(driver.host, portal, *what) for portal in driver.portals)),)

    def succeeded(self, job: Job, results: Results) -> None:
        remember_luns(job.datastore, [each for step, facts in results if isinstance(step, LunsKnown) for each in facts])


def remember_luns(datastore: Datastore, offered: list[SizedLun]) -> None:
    """Store what an appliance offers. What it offers no more is kept while it is pinned, or until next time."""
    now = timezone.now()
    known = {(row.iqn, row.number): row for row in ApplianceLun.objects.filter(datastore=datastore)}
    found = {(each.lun.iqn, each.lun.number): each for each in reversed(offered)}  # the first portal counts
    for key, each in found.items():
        row = known.get(key) or ApplianceLun(datastore=datastore, iqn=key[0], number=key[1], size=each.size)
        seen = {"size": each.size, "found_at": now, "gone_at": None, "portal": each.lun.portal.address,
                "port": each.lun.portal.port}  # fmt: skip
        if row.size != each.size:
            seen["size_before"] = row.size
        # what it was pinned as meanwhile stays: only what was seen is written
        ApplianceLun.objects.update_or_create(datastore=datastore, iqn=key[0], number=key[1], defaults=seen)
    for row in (row for key, row in known.items() if key not in found):
        if row.gone_at and row.image_id is None:
            row.delete()
        elif not row.gone_at:
            ApplianceLun.objects.filter(pk=row.pk).update(gone_at=now)
    Appliance.objects.update_or_create(datastore=datastore, defaults={"read_at": now})


class PortalsTry(ApplianceCase):
    """Try from every host how far it gets with the portals of an appliance: from those that may use it, and others."""

    kind = "nas.try"
    label = "Try portals"
    verb = "Try the portals of"
    others = True

    def plan(self, job: Job) -> Plan:
        driver = appliance_of(job.datastore)
        names = *driver.hosts, *(host.name for host in self.others_of(job))
        return (Stage("try", tuple(PortalTried(name, portal) for name in names for portal in driver.portals)),)

    def succeeded(self, job: Job, results: Results) -> None:
        hosts = {host.name: host for host in (*hosts_of(job.datastore), *self.others_of(job))}
        ApplianceReach.objects.filter(datastore=job.datastore).delete()
        ApplianceReach.objects.bulk_create(
            ApplianceReach(
                datastore=job.datastore, host=hosts[step.host], portal=str(step.portal), answer=met.answer,
                luns=met.luns,
            )
            for step, met in tried(results)
            if step.host in hosts
        )  # fmt: skip
        Appliance.objects.update_or_create(datastore=job.datastore, defaults={"tried_at": timezone.now()})


def tried(results: Results) -> Iterator[tuple[PortalTried, Met]]:
    return ((step, met) for step, met in results if isinstance(step, PortalTried) and isinstance(met, Met))


class OthersGuarded(ApplianceCase):
    """Keep every other host, with all that runs on it, from the portals of an appliance."""

    kind = "nas.guard"
    label = "Guard portals"
    verb = "Keep other hosts from"
    queue = "provision"
    can_wait = True
    needs_approval = True
    roles = frozenset({User.Role.ADMIN})
    others = True

    def again(self, job: Job) -> None:
        super().again(job)
        if not job.params["others"]:
            raise Refused("There is no other host that could be kept from it.")

    def plan(self, job: Job) -> Plan:
        driver = appliance_of(job.datastore)
        return (Stage("guard", tuple(step for host in self.others_of(job) for step in driver.guard_other(host.name))),)

    def succeeded(self, job: Job, results: Results) -> None:
        rows = [ApplianceGuard(datastore=job.datastore, host=host) for host in self.others_of(job)]
        ApplianceGuard.objects.bulk_create(rows, ignore_conflicts=True)
        Appliance.objects.update_or_create(datastore=job.datastore, defaults={"guarded_at": timezone.now()})


class OthersOpened(ApplianceCase):
    """Let other hosts get to the portals of an appliance again, as far as it lets them.

    Those that cannot be asked now stay kept from it, and stay remembered.
    """

    kind = "nas.open"
    label = "Open portals"
    verb = "Let other hosts get to"
    queue = "provision"
    can_wait = True
    needs_approval = True
    roles = frozenset({User.Role.ADMIN})
    others = True

    def wanted(self, job: Job) -> list[Host]:
        return list(askable().filter(guards__datastore=job.datastore))

    def again(self, job: Job) -> None:
        super().again(job)
        if not job.params["others"]:
            away = Host.objects.filter(guards__datastore=job.datastore).values_list("name", flat=True)
            why = f"{listed(list(away))} cannot be asked now." if away else "No other host is kept from it."
            raise Refused(f"There is nothing to open: {why}")

    def plan(self, job: Job) -> Plan:
        driver = appliance_of(job.datastore)
        return (Stage("open", tuple(step for host in self.others_of(job) for step in driver.open_other(host.name))),)

    def succeeded(self, job: Job, results: Results) -> None:
        guards = ApplianceGuard.objects.filter(datastore=job.datastore)
        guards.filter(host__in=job.params["others"]).delete()
        if not guards.exists():
            Appliance.objects.filter(datastore=job.datastore).update(guarded_at=None)


class LunPin(ImageMaker):
    """Make a LUN an image, when every host of the datastore gets to it.

    params: lun (id), name, type.
    """

    kind = "nas.pin"
    label = "Pin LUN"
    roles = frozenset({User.Role.ADMIN})
    can_undo = False  # it is unpinned
    undo_is = ""

    def ask(self, job: Job) -> None:
        lun = ApplianceLun.objects.filter(datastore=job.datastore, pk=job.params["lun"]).first()
        if lun is None or lun.gone_at:
            raise Refused("The appliance does not offer that LUN any more.")
        if lun.image_id:
            raise Refused(f"{lun} is pinned already.")
        if not lun.size:
            raise Refused(f"The appliance does not tell how large {lun} is, so it cannot be used.")
        appliance_of(job.datastore)
        image = new_image(
            job, job.datastore, found=True, type=job.params.get("type", Image.Type.DATABLOCK), source=str(lun),
            format=Format.RAW, persistent=True, virtual_size=lun.size, real_size=lun.size,
        )  # fmt: skip
        ApplianceLun.objects.filter(pk=lun.pk).update(image=image, size_before=None)
        job.title = f"Pin {lun} as image {image.name}"[:300]

    def plan(self, job: Job) -> Plan:
        driver = appliance_of(job.image.datastore)
        pinned = driver.pinned(image_volume(job.image, driver))
        reached = (LunReached(host, pinned.lun, pinned.size, driver.account) for host in driver.hosts)
        return (Stage("look", tuple(reached)),)

    def succeeded(self, job: Job, results: Results) -> None:
        self.made(job)


def unpin(image: Image, user: User, address: str = "") -> None:
    """Forget that a LUN is an image. Nothing is done at the appliance, or on a host.

    :raises Refused: a VM uses it, or a job works on it.
    """
    with in_turn():
        lun = ApplianceLun.objects.filter(image=image).first()
        if lun is None:
            raise BadInput(f"{image.name} is no LUN of an appliance.")
        require_state(image, ObjectState.READY, ObjectState.ERROR)
        if users := users_of(image, user):
            raise Refused(f"{image.name} is used by {listed(users)}. Delete those disks first: the LUN stays.")
        if job := Job.objects.filter(image=image, ended_at=None).first():
            raise Refused(f"Job {job.pk} ({job.title}) works on it.")
        record("nas.unpin", user=user, address=address, target=image, result="done", lun=str(lun))
        Drift.objects.cease(image=image.pk)
        image.delete()


def differences(row: ApplianceLun) -> dict[str, Any]:
    """Return what is to be said of a LUN: whether it is gone, and whether it is smaller than the image that it is."""
    short = row.image is not None and 0 < row.size < row.image.virtual_size
    return {"gone": row.gone_at is not None, "changed": row.size_before is not None, "short": short}

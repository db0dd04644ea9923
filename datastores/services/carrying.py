"""Images and disks on their way between datastores: what a job has to remember of it, and the stages of its plan."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.routes import Route
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.transfers import over_ssh, transfer, way
from datastores.models import Datastore, Host, Job
from datastores.models.fields import secret_box
from datastores.services.disk_hosts import require_usable
from datastores.services.placing import require_ready
from datastores.transport.keys import generate_key


def way_between(source: StorageDriver, format: str, target: StorageDriver) -> dict[str, Any]:
    """Return how an image gets from one datastore to the other, as parameters of its job.

    ``host`` sees both; or it fetches the image from ``sender``.

    :raises Unsupported: there is no way. :raises Refused: the sender cannot be used now.
    """
    found = way(source, Format(format), target)
    if found.sender:
        require_usable(_host(found.sender))
    return {"host": found.host, "format": found.format, "sender": found.sender}


def keyed(way: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a way with a key that is made for one job alone, where it leads over SSH.

    Its private part is encrypted at rest, and goes to the host that fetches, nowhere else.
    """
    if not way.get("sender"):
        return way
    private, public = generate_key()
    return way | {"private_key": secret_box().encrypt(private.encode()).decode(), "public_key": public}


def require_way(job: Job) -> None:
    """Raise Refused when the datastores of a move, or a host on its way, cannot be used now: it may have waited."""
    for key in (job.params["from"], job.datastore_id):
        if (datastore := Datastore.objects.filter(pk=key).first()) is None:
            raise Refused("A datastore of this move is gone.")
        require_ready(datastore)
    for name in filter(None, (job.params["host"], job.params.get("sender"))):
        require_usable(_host(name))


def hosts_on_the_way(job: Job) -> dict[str, bool]:
    """Return the hosts that carry a transfer as resources: they stay what they are until the job has ended.

    Those that are called something else by now are left out: who takes a job back holds the hosts that it worked on
    anyway.
    """
    names = [job.params["host"], job.params.get("sender", "")]
    return {f"host:{key}": False for key in Host.objects.filter(name__in=names).values_list("pk", flat=True)}


def carried(
    job: Job, title: str, source: StorageDriver, volume: Volume, target: StorageDriver, made: Volume, then: Plan = ()
) -> Plan:
    """Return the stages that make ``made`` in ``target`` of ``volume`` in ``source``, on the way that the job has.

    ``then``: what is done when it is there.
    """
    if job.params.get("sender"):
        return _fetched(job, source, volume, target, made, then)
    return Stage(title, transfer(source, volume, target, made, job.params["host"])), *then


def moved(
    job: Job, title: str, source: StorageDriver, volume: Volume, target: StorageDriver, made: Volume, then: Plan
) -> Plan:
    """Return the same where ``then`` deletes ``volume``: the copy is compared with it before.

    Over SSH it always is.
    """
    if job.params.get("sender"):
        return _fetched(job, source, volume, target, made, then)
    return Stage(title, transfer(source, volume, target, made, job.params["host"], moved=True)), *then


def _fetched(job: Job, source: StorageDriver, volume: Volume, target: StorageDriver, made: Volume, then: Plan) -> Plan:
    journey = over_ssh(source, volume, target, made, route_of(job))
    return *journey.stages, *then, *journey.after


def route_of(job: Job) -> Route:
    """Return the way on which the job's host fetches from its sender.

    :raises Refused: one of the two is gone. :raises BadInput: no key of the sender is pinned.
    """
    sender, host = _host(job.params["sender"]), _host(job.params["host"])
    return Route(
        token=str(job.uuid),
        source=sender.name,
        target=host.name,
        address=sender.address,
        port=sender.port,
        account=sender.account,
        host_keys=tuple(_key(line) for line in _pinned(sender)),
        seen_as=tuple(dict.fromkeys(_addresses(host))),
        public_key=job.params["public_key"],
        private_key=secret_box().decrypt(job.params["private_key"]).decode(),
        limit=limit_of(job.params),
    )


def limit_of(params: dict[str, Any]) -> int:
    """Return the bytes in a second that a transfer may take; 0: as many as it can.

    :raises BadInput: that is no number of bytes.
    """
    limit = params.get("limit") or 0
    if not isinstance(limit, int) or limit < 0:
        raise BadInput("The limit is a number of bytes in a second.")
    return limit


def check_limit(params: dict[str, Any], way: dict[str, Any]) -> None:
    """Check that the limit of a transfer can be kept to on its way.

    :raises BadInput: it is no limit, or no transfer between hosts.
    """
    if limit_of(params) and not way["sender"]:
        raise BadInput(
            f"{way['host']} sees both datastores, and a copy on one host is never held back: leave the limit empty."
        )


def _host(name: str) -> Host:
    host = Host.objects.filter(name=name).first()
    if host is None:
        raise Refused(f"There is no host {name} any more.")
    return host


def _pinned(host: Host) -> Iterator[str]:
    yield from host.keys.filter(pinned_at__isnull=False).order_by("pk").values_list("line", flat=True)


def _key(line: str) -> str:
    return " ".join(line.split()[:2])


def _addresses(host: Host) -> Iterator[str]:
    """Yield the addresses from which others may see a host: all that it has, and the one that cloudstore uses."""
    known = [host.address, *(each for nic in host.facts.get("nics", ()) for each in nic.get("addresses", ()))]
    for each in known:
        try:
            yield str(ipaddress.ip_interface(each).ip)
        except ValueError:  # a name: its addresses are among the others
            continue

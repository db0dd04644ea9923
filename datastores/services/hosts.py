"""Hosts: add, pin, onboard, read, keep an eye on."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q
from django.utils import timezone

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import HostState
from datastores.drivers.abilities import Steps
from datastores.hosts.authorized_keys import AuthorizedKeysPresent
from datastores.hosts.known import FactsKnown
from datastores.models import Credential, Datastore, Host, HostKey, Job, MovedDirectory, User
from datastores.models.audit import in_turn, record
from datastores.services.addresses import change_address
from datastores.services.notifications import tell
from datastores.services.rows import change_row
from datastores.services.since import about, by_whom
from datastores.services.usecase import Results, UseCase, facts_of
from datastores.transport.hostkeys import HostKey as OfferedKey
from datastores.transport.keys import generate_key
from datastores.transport.scan import scan_host_keys

OWN_CREDENTIAL = "cloudstore"
NOT_READ = "Its key was pinned, and it has not been read since."


def own_credential() -> Credential:
    """Return the key pair of this installation; made when it is first needed."""
    credential = Credential.objects.filter(name=OWN_CREDENTIAL).first()
    if credential is None:
        private, public = generate_key()
        credential, _ = Credential.objects.get_or_create(
            name=OWN_CREDENTIAL, defaults={"private_key": private, "public_key": public}
        )
    return credential


def check_host(host: Host) -> None:
    """Bring the fields of an unsaved host into canonical form.

    :raises BadInput: a field is not acceptable.
    """
    host.name = values.host_address(host.name, "The name")
    host.address = values.host_address(host.address)
    host.port = values.port_number(host.port)
    host.account = values.account_name(host.account)
    seen, jump = {host.pk}, host.jump_id
    while jump:
        if jump in seen:
            raise BadInput("The jump hosts form a circle.")
        seen.add(jump)
        jump = Host.objects.filter(pk=jump).values_list("jump_id", flat=True).first()


def change_host(host: Host, version: int, fields: Iterable[str]) -> None:
    """Store these fields of a host as they are in ``host``; what others found out about it meanwhile stays.

    Belongs into the transaction of the audit entry.

    :raises Refused: somebody else changed it since the person saw ``version``, it gets another name during a job, or
        disks are attached by its address.
    """
    check_host(host)
    known = Host.objects.defer("facts").filter(pk=host.pk).first()
    if known and known.name != host.name:
        require_idle(known, "renamed")
    if known and known.address != host.address:
        change_address(known)
    change_row(host, version, **{name: getattr(host, name) for name in fields})


def require_idle(host: Host, done: str) -> None:
    """Raise Refused while a job that has not ended works on the host, which it knows by its name.

    ``done``: what would have been "renamed".
    """
    there = Datastore.objects.filter(hosts=host)
    volumes = Q(datastore__in=there) | Q(image__datastore__in=there) | Q(disk__datastore__in=there)
    held = [f"host:{host.pk}", *(f"datastore:{key}" for key in there.values_list("pk", flat=True))]
    at_work = Job.objects.filter(Q(host=host) | volumes | Q(leases__resource__in=held), ended_at=None)
    if job := at_work.order_by("pk").first():
        raise Refused(
            f"{host} cannot be {done} now: job {job.pk} ({job.title}) works on it. Nothing was changed; try again when "
            "that job has ended, or cancel it."
        )


def require_unneeded(host: Host) -> None:
    """Raise Refused when something would break without the host."""
    if used := [datastore.name for datastore in host.datastores.all()]:
        raise Refused(
            f"{host} belongs to the datastores {', '.join(used[:10])}. Delete them or take it out of them first."
        )
    if through := [other.name for other in host.reached_through_me.all()]:
        raise Refused(f"{host} is the jump host of {', '.join(through[:10])}. Change that first.")
    if moved := MovedDirectory.objects.filter(host=host).first():
        raise Refused(f"{moved.path} was moved onto a datastore. Bring it back, and delete what it has left, first.")
    if host.usable and (guard := host.guards.select_related("datastore").first()):
        raise Refused(f"{host} is kept from the appliance of {guard.datastore}. Let it get there again first.")
    require_idle(host, "deleted")


def scan(host: Host) -> list[HostKey]:
    """Ask a host for its keys without logging in; remember them as offered.

    :raises NotConnected: it does not answer.
    """
    from datastores.services.endpoints import endpoint_of

    jump = endpoint_of(host.jump) if host.jump else None
    offered = scan_host_keys(host.address, host.port, timeout=5, jump=jump)
    host.keys.filter(pinned_at=None).exclude(fingerprint__in=[key.fingerprint for key in offered]).delete()
    return [_remember(host, key) for key in offered]


def _remember(host: Host, key: OfferedKey) -> HostKey:
    row, _ = HostKey.objects.get_or_create(host=host, fingerprint=key.fingerprint, defaults={"line": key.line})
    return row


def pin(key: HostKey, user: User, address: str = "") -> None:
    """Trust this key from now on, and no other: what the admin saw on the host's console.

    The others are forgotten, not kept to be pinned by a slip: a retired key may be in wrong hands.
    What was wrong before is no more; whether the host can be used now, reading it will tell.
    """
    with in_turn():
        old = list(key.host.keys.exclude(pinned_at=None).exclude(pk=key.pk).values_list("fingerprint", flat=True))
        key.host.keys.exclude(pk=key.pk).delete()
        HostKey.objects.filter(pk=key.pk).update(pinned_at=timezone.now(), pinned_by=user)
        shut_off = Host.objects.filter(pk=key.host_id, state__in=[HostState.QUARANTINED, HostState.UNREACHABLE])
        shut_off.update(state=HostState.UNREACHABLE, error=NOT_READ)
        record("host.pin", user=user, address=address, target=key.host, result="done",
               fingerprint=key.fingerprint, before=old)  # fmt: skip


def set_maintenance(host: Host, user: User, address: str = "", *, on: bool) -> None:
    """Take the host out of, or back into, the choice for new work.

    :raises Refused: somebody has done so already, or it is gone.
    """
    with in_turn():
        if not Host.objects.filter(pk=host.pk, maintenance=not on).update(maintenance=on):
            raise Refused(maintained_already(host, on=on))
        record("host.maintenance", user=user, address=address, target=host, result="done",
               before=not on, after=on)  # fmt: skip


def maintained_already(host: Host, *, on: bool) -> str:
    if not Host.objects.filter(pk=host.pk).exists():
        return f"{host} is gone."
    who = by_whom(about(f"host:{host.pk}").filter(action="host.maintenance").first())
    return f"{host} was taken {'into' if on else 'out of'} maintenance already{who}. Nothing was changed."


class HostRead(UseCase):
    """Log in to a host that has been onboarded, and read everything that is to be known of it."""

    kind = "host.read"
    can_wait = False
    label = "Read host"
    queue = "monitor"
    targets = ("host",)

    def ask(self, job: Job) -> None:
        self.check(job.host)
        job.title = f"{self.label.removesuffix(' host')} {job.host.name}"
        job.target_label = job.host.name

    def again(self, job: Job) -> None:
        self.check(job.host)

    def check(self, host: Host) -> None:
        """Raise Refused when nobody may log in to the host in this way."""
        require_pinned(host)
        if host.facts_at is None:
            raise Refused(f"{host.name} has not been onboarded yet, so it was not read. An admin has to onboard it.")

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"host:{job.host_id}": False}

    def plan(self, job: Job) -> Plan:
        return (Stage("read", (FactsKnown(job.host.name),)),)

    def succeeded(self, job: Job, results: Results) -> None:
        remember_facts(job.host, results)

    def failed(self, job: Job, error: str) -> None:
        """That it could not be read tells nothing of whether it can be used."""
        Host.objects.filter(pk=job.host_id).exclude(state=HostState.QUARANTINED).update(error=error)

    def unreachable(self, job: Job, error: str) -> None:
        hosts = Host.objects.filter(pk=job.host_id).exclude(state=HostState.QUARANTINED)
        for host in hosts.exclude(state=HostState.UNREACHABLE):  # once, not each time that it is tried
            tell("host.unreachable", f"{host.name} does not answer", error, host.get_absolute_url(), f"host:{host.pk}")
        hosts.update(state=HostState.UNREACHABLE, error=error)

    def cancelled(self, job: Job) -> None:
        """The host stays what it is."""


class HostOnboard(HostRead):
    """Log in for the first time: install cloudstore's key (with the password, once), then read the host."""

    kind = "host.onboard"
    can_wait = True
    label = "Onboard host"
    queue = "provision"
    roles = frozenset({User.Role.ADMIN})

    def check(self, host: Host) -> None:
        require_pinned(host)

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"host:{job.host_id}": True}

    def plan(self, job: Job) -> Plan:
        return (Stage("onboard", (*login_steps(job.host), FactsKnown(job.host.name))),)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        Host.objects.filter(pk=job.host_id).update(first_password="")


def login_steps(host: Host) -> Steps:
    """Return what onboarding makes true and what stays so: cloudstore's key may log in. A certificate needs none."""
    credential = host.credential
    if not credential.public_key or credential.certificate:
        return ()
    return (AuthorizedKeysPresent(host.name, host.account, (credential.public_key.strip(),)),)


def require_pinned(host: Host) -> None:
    """Raise Refused when it is not known by which key the host is to be recognised."""
    if not host.keys.exclude(pinned_at=None).exists():
        raise Refused(f"No key of {host.name} is pinned yet. Compare its fingerprint and pin it first.")


def remember_facts(host: Host, results: Results) -> None:
    """Store what a FactsKnown step read."""
    facts = facts_of(results, FactsKnown)
    # a read over a connection that was open already does not lift a quarantine
    Host.objects.filter(pk=host.pk).exclude(state=HostState.QUARANTINED).update(
        facts=facts.to_json(),
        facts_at=timezone.now(),
        clock_skew=facts.clock - facts.heard if facts.clock else None,
        state=HostState.READY,
        error="",
    )

"""Hosts: add, pin, onboard, read, keep an eye on."""

from __future__ import annotations

import time

from django.utils import timezone

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import HostState
from datastores.hosts.authorized_keys import AuthorizedKeysPresent
from datastores.hosts.known import FactsKnown
from datastores.models import Credential, Host, HostKey, Job, User
from datastores.models.audit import in_turn, record
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
    host.name = values.host_address(host.name)
    host.address = values.host_address(host.address)
    host.port = values.port_number(host.port)
    host.account = values.account_name(host.account)
    seen, jump = {host.pk}, host.jump
    while jump:
        if jump.pk in seen:
            raise BadInput("The jump hosts form a circle.")
        seen.add(jump.pk)
        jump = jump.jump


def scan(host: Host) -> list[HostKey]:
    """Ask a host for its keys without logging in; remember them as offered.

    :raises NotConnected: it does not answer.
    """
    from datastores.services.endpoints import endpoint_of

    jump = endpoint_of(host.jump) if host.jump else None
    offered = scan_host_keys(host.address, host.port, timeout=5, jump=jump)
    return [_remember(host, key) for key in offered]


def _remember(host: Host, key: OfferedKey) -> HostKey:
    row, _ = HostKey.objects.get_or_create(host=host, fingerprint=key.fingerprint, defaults={"line": key.line})
    return row


def pin(key: HostKey, user: User, address: str = "") -> None:
    """Trust this key from now on, and no other: what the admin saw on the host's console.

    What was wrong before is no more; whether the host can be used now, reading it will tell.
    """
    with in_turn():
        old = list(key.host.keys.exclude(pinned_at=None).exclude(pk=key.pk).values_list("fingerprint", flat=True))
        key.host.keys.exclude(pk=key.pk).update(pinned_at=None, pinned_by=None)
        HostKey.objects.filter(pk=key.pk).update(pinned_at=timezone.now(), pinned_by=user)
        if key.host.state in {HostState.QUARANTINED, HostState.UNREACHABLE}:
            Host.objects.filter(pk=key.host_id).update(state=HostState.UNREACHABLE, error=NOT_READ)
        record("host.pin", user=user, address=address, target=key.host.name, result="done",
               fingerprint=key.fingerprint, before=old)  # fmt: skip


def set_maintenance(host: Host, user: User, address: str = "", *, on: bool) -> None:
    """Take the host out of, or back into, the choice for new work."""
    with in_turn():
        Host.objects.filter(pk=host.pk).update(maintenance=on)
        record("host.maintenance", user=user, address=address, target=host.name, result="done",
               before=host.maintenance, after=on)  # fmt: skip


class HostRead(UseCase):
    """Log in to a host and read everything that is to be known of it."""

    kind = "host.read"
    label = "Read host"
    queue = "monitor"
    targets = ("host",)

    def ask(self, job: Job) -> None:
        if not job.host.keys.exclude(pinned_at=None).exists():
            raise Refused(f"No key of {job.host.name} is pinned yet. Compare its fingerprint and pin it first.")
        job.title = f"Read {job.host.name}"
        job.target_label = job.host.name

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
        Host.objects.filter(pk=job.host_id).exclude(state=HostState.QUARANTINED).update(
            state=HostState.UNREACHABLE, error=error
        )

    def cancelled(self, job: Job) -> None:
        """The host stays what it is."""


class HostOnboard(HostRead):
    """Log in for the first time: install cloudstore's key (with the password, once), then read the host."""

    kind = "host.onboard"
    label = "Onboard host"
    queue = "provision"
    roles = frozenset({User.Role.ADMIN})

    def ask(self, job: Job) -> None:
        super().ask(job)
        job.title = f"Onboard {job.host.name}"

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"host:{job.host_id}": True}

    def plan(self, job: Job) -> Plan:
        name, credential = job.host.name, job.host.credential
        steps: tuple = (FactsKnown(name),)
        if credential.public_key and not credential.certificate:
            steps = (AuthorizedKeysPresent(name, job.host.account, (credential.public_key.strip(),)), *steps)
        return (Stage("onboard", steps),)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        Host.objects.filter(pk=job.host_id).update(first_password="")


def remember_facts(host: Host, results: Results) -> None:
    """Store what a FactsKnown step read."""
    facts = facts_of(results, FactsKnown)
    # a read over a connection that was open already does not lift a quarantine
    Host.objects.filter(pk=host.pk).exclude(state=HostState.QUARANTINED).update(
        facts=facts.to_json(),
        facts_at=timezone.now(),
        clock_skew=facts.clock - time.time() if facts.clock else None,
        state=HostState.READY,
        error="",
    )

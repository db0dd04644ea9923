"""From a host's row to what the transport needs to reach it."""

from __future__ import annotations

from datastores.domain.errors import HostGone, NotConnected
from datastores.domain.states import HostState
from datastores.models import Host
from datastores.transport.endpoint import Endpoint

NEEDED = (
    "name", "address", "port", "account", "state", "first_password", "jump_id", "credential__private_key",
    "credential__passphrase", "credential__certificate", "credential__use_agent",
)  # fmt: skip
"""Columns: a host's facts are large, and a clone waits for this query."""


def endpoint_of(host: Host) -> Endpoint:
    """Return how to log in to ``host`` and by which keys it is known.

    :raises NotConnected: the host is quarantined; nobody may log in until an admin has compared its key. A job that
        had begun there waits for that, interrupted.
    """
    if host.state == HostState.QUARANTINED:
        raise NotConnected(
            f"{host.name} is quarantined: its host key is not the pinned one. Compare the fingerprints on its page."
        )
    credential = host.credential
    return Endpoint(
        name=host.name,
        address=host.address,
        port=host.port,
        account=host.account,
        host_keys=tuple(host.keys.filter(pinned_at__isnull=False).values_list("line", flat=True)),
        private_key=credential.private_key,
        passphrase=credential.passphrase,
        certificate=credential.certificate,
        password=host.first_password,
        use_agent=credential.use_agent,
        jump=endpoint_of(host.jump) if host.jump else None,
    )


def endpoint_named(name: str) -> Endpoint:
    """Return the endpoint of the host that has this name now.

    :raises HostGone: there is none. :raises NotConnected: it is quarantined.
    """
    return _endpoint(name, name=name)


def endpoint_meant(name: str, key: int | None) -> Endpoint:
    """Return the endpoint of the host with this key, which was called ``name`` when a job began to work on it.

    :raises HostGone: it was deleted. :raises NotConnected: it is quarantined.
    """
    return _endpoint(name, pk=key)


def _endpoint(called: str, /, **lookup: object) -> Endpoint:
    host = Host.objects.select_related("credential").only(*NEEDED).filter(**lookup).first()
    if host is None:
        raise HostGone(f"The host {called} is not known any more. Nothing was sent to it.")
    return endpoint_of(host)

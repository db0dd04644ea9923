"""From a host's row to what the transport needs to reach it."""

from __future__ import annotations

from datastores.domain.errors import NotConnected
from datastores.domain.states import HostState
from datastores.models import Host
from datastores.transport.endpoint import Endpoint

WITH_JUMPS = "credential", "jump__credential", "jump__jump__credential"


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
        host_keys=tuple(key.line for key in host.keys.all() if key.pinned_at),
        private_key=credential.private_key,
        passphrase=credential.passphrase,
        certificate=credential.certificate,
        password=host.first_password,
        use_agent=credential.use_agent,
        jump=endpoint_of(host.jump) if host.jump else None,
    )


def endpoint_named(name: str) -> Endpoint:
    """Return the endpoint of the host with this name.

    :raises NotConnected: there is no such host any more, or it is quarantined.
    """
    hosts = Host.objects.select_related(*WITH_JUMPS).prefetch_related("keys", "jump__keys")
    host = hosts.filter(name=name).first()
    if host is None:
        raise NotConnected(f"There is no host {name} any more: it was renamed or deleted. Nothing was sent to it.")
    return endpoint_of(host)

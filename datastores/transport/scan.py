"""Ask a host for its public keys before anybody trusts it. Nobody logs in."""

from __future__ import annotations

from paramiko.ssh_exception import IncompatiblePeer

from datastores.domain.errors import NotConnected
from datastores.transport import dial
from datastores.transport.endpoint import Endpoint
from datastores.transport.hostkeys import FAMILIES, HostKey, host_key
from datastores.transport.pool import Pool


def scan_host_keys(
    address: str, port: int = 22, *, timeout: float = 10.0, jump: Endpoint | None = None
) -> tuple[HostKey, ...]:
    """Return the host's public keys, the best kind first. They are what it says, not what is true: compare the
    fingerprints on its console before pinning one.

    :raises NotConnected: no SSH server answers there, or the jump host cannot be used.
    """
    where = f"{address}:{port}" + (f" through {jump.name}" if jump else "")
    found: list[HostKey] = []
    problem: NotConnected | None = None
    with Pool(timeout=timeout) as pool:
        for names in FAMILIES.values():
            wire: dial.Wire
            if jump:
                through = pool.connection(jump).transport
                wire = dial.dial_through(through, address, port, timeout=timeout, where=where)
            else:
                wire = dial.dial(address, port, timeout=timeout, where=where)
            try:
                transport = dial.negotiate(wire, names, timeout=timeout, where=where)
            except NotConnected as error:
                if not isinstance(error.__cause__, IncompatiblePeer):
                    raise
                problem = error  # the host has no key of this kind, or nothing at all in common with us
                continue
            found.append(host_key(transport.get_remote_server_key()))
            transport.close()
    if problem and not found:
        raise problem
    return tuple(found)

"""From an address to a negotiated SSH transport whose host key is known but nobody is logged in yet."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TypeAlias

from paramiko import Channel, ChannelException, SSHException, Transport
from paramiko.ssh_exception import IncompatiblePeer

from datastores.domain.errors import NotConnected
from datastores.transport.client import Client

Wire: TypeAlias = socket.socket | Channel

KEEPALIVE = 15
DEAD_AFTER = 30
"""Seconds until a cut link is noticed: bytes that nobody acknowledges for so long end the connection."""

SOCKET_OPTIONS = {
    "TCP_NODELAY": 1,  # without it every channel waits 40 ms for a delayed acknowledgement
    "TCP_KEEPIDLE": KEEPALIVE,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": DEAD_AFTER * 1000,
}


class JumpLost(NotConnected):
    """The connection to the jump host turned out to be dead."""


def dial(address: str, port: int, *, timeout: float, where: str) -> socket.socket:
    """Return a TCP connection.

    :raises NotConnected: with the reason in a sentence.
    """
    try:
        wire = socket.create_connection((address, port), timeout)
    except socket.gaierror as error:
        raise NotConnected(f"The name of {where} cannot be resolved: {error.strerror}.") from error
    except TimeoutError as error:
        raise NotConnected(
            f"{where} does not answer within {timeout:g} s: it is off, its network is cut or a firewall drops us."
        ) from error
    except ConnectionRefusedError as error:
        raise NotConnected(f"{where} refuses the connection: no SSH server listens there.") from error
    except OSError as error:
        raise NotConnected(f"{where} cannot be reached: {error.strerror or error}.") from error
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in SOCKET_OPTIONS.items():
        if hasattr(socket, name):  # some are Linux's own
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return wire


def dial_through(jump: Transport, address: str, port: int, *, timeout: float, where: str) -> Channel:
    """Return a channel that the jump host connected to the address.

    :raises NotConnected: it could or would not; JumpLost when it did not answer.
    """
    try:
        return jump.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout)
    except ChannelException as error:
        reason = (
            "the jump host does not allow forwarding (AllowTcpForwarding)"
            if error.code == 1
            else "the jump host cannot connect to it"
        )
        raise NotConnected(f"{where} cannot be reached: {reason}.") from error
    except (SSHException, EOFError, OSError) as error:
        raise JumpLost(f"{where} cannot be reached: the jump host did not answer ({error}).") from error


def negotiate(wire: Wire, algorithms: Sequence[str], *, timeout: float, where: str) -> Client:
    """Return a transport over ``wire``, encrypted, with the host's key in ``get_remote_server_key()``.

    ``algorithms`` are the host key algorithms to accept, in order. On an error ``wire`` is closed.

    :raises NotConnected: no SSH server answered, or there is no common algorithm.
    """
    transport = Client(wire)
    transport.banner_timeout = transport.auth_timeout = transport.channel_timeout = timeout
    transport.handshake_timeout = timeout
    transport.get_security_options().key_types = algorithms
    try:
        transport.start_client(timeout=timeout)
        transport.get_remote_server_key()  # start_client comes back without an error when its time is up
    except (SSHException, EOFError, OSError) as error:
        transport.close()
        wire.close()
        raise NotConnected(f"{where} {_handshake_problem(error)}.") from error
    return transport


def _handshake_problem(error: Exception) -> str:
    if isinstance(error, IncompatiblePeer):
        return f"has no algorithm in common with us ({error}): its SSH server is too old or configured too narrowly"
    if "banner" in str(error) or "protocol version" in str(error):
        return "answers, but not as an SSH server"
    if isinstance(error, EOFError | ConnectionError):
        return "closed the connection before the keys were exchanged: it may have too many logins at once"
    return f"did not finish the key exchange ({error or type(error).__name__})"

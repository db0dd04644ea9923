"""Connections to web servers that an admin named: never to this machine itself, nor to what only its own link reaches.

Whoever may set the address of a webhook would else have cloudstore talk to services that trust whoever is on this
machine, or to the metadata of a cloud (169.254.169.254). What is checked is the address that the connection is made to,
after the name was looked up: a name that is looked up twice may mean two things. Private networks are where private
clouds are, so they are allowed.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from ipaddress import IPv4Address, IPv6Address

from django.conf import settings

from datastores.domain.errors import CloudstoreError
from datastores.jobs.deadlines import Deadline

SECONDS = 10.0
"""For all attempts to connect, and for each answer of the other side."""
ATTEMPT_SECONDS = 2.0
"""The least that is left to an address: those that do not answer share the time, and leave some to those that do."""
EMBEDDED = (
    (ipaddress.ip_network("::ffff:0:0/96"), 0),
    (ipaddress.ip_network("::/96"), 0),
    (ipaddress.ip_network("64:ff9b::/96"), 0),
    (ipaddress.ip_network("64:ff9b:1::/48"), 0),
    (ipaddress.ip_network("2002::/16"), 80),
)
"""IPv6 that leads to an IPv4 address (mapped, compatible, NAT64, 6to4), and by how many bits that is shifted."""
THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
"""Where clouds tell a machine its secrets, beside link-local addresses."""


class NotAllowed(CloudstoreError):
    """The address is one that nothing is sent to."""


class Checked(http.client.HTTPConnection):
    """A connection to an address that was checked. ``tls``: how to speak https; None: plain http."""

    def __init__(self, host: str, port: int | None, deadline: Deadline, tls: ssl.SSLContext | None = None) -> None:
        self.default_port = http.client.HTTPS_PORT if tls else http.client.HTTP_PORT
        # always a number: else the end of an IPv6 address is taken for one
        super().__init__(host, port or self.default_port, timeout=SECONDS)
        self.deadline, self.tls = deadline, tls

    def connect(self) -> None:
        """Connect to the first address of the host that answers.

        :raises NotAllowed: nothing is sent to it. :raises OSError: none answers.
        """
        self.sock = dial(self.host, self.port)
        self.deadline.watch(self.sock)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            self.sock = self.tls.wrap_socket(self.sock, server_hostname=self.host)


def dial(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to one of the addresses of the host to which something may be sent.

    How long the name is looked up, the resolver of this machine decides: no deadline cuts that off.

    :raises NotAllowed: there is none. :raises OSError: none of them answers.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = [each for each in found if not forbidden(str(each[4][0]))]
    if not allowed:
        names = ", ".join(dict.fromkeys(str(each[4][0]) for each in found))
        raise NotAllowed(f"{host} is {names}, and messages go neither to this machine nor to link-local addresses.")
    until = time.monotonic() + SECONDS
    failure: OSError = TimeoutError()
    for number, (family, kind, protocol, _, address) in enumerate(allowed):
        left = until - time.monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(ATTEMPT_SECONDS, left / (len(allowed) - number)))
            sock.connect(address)
            sock.settimeout(SECONDS)
        except OSError as error:  # the next one may answer
            sock.close()
            failure = error
        else:
            if is_own(sock):
                sock.close()
                raise NotAllowed(f"{host} is this machine, and messages do not go there.")
            return sock
    raise failure


def is_own(sock: socket.socket) -> bool:
    """Tell whether the other side is this machine, whatever address it has, where nothing is sent to that."""
    return not settings.WEBHOOK_LOOPBACK and sock.getsockname()[0] == sock.getpeername()[0]


def forbidden(address: str) -> bool:
    """Tell whether nothing is sent to a numeric address."""
    found = meant(ipaddress.ip_address(address))
    if found.is_loopback:
        return not settings.WEBHOOK_LOOPBACK
    special = found.is_link_local or found.is_unspecified or found.is_multicast or found in METADATA
    if isinstance(found, IPv6Address):
        return special
    return special or found in THIS_NETWORK or found.is_reserved


def meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address to which an IPv6 one leads; any other as it is."""
    if isinstance(address, IPv4Address) or address.is_loopback or address.is_unspecified:
        return address
    plain = IPv6Address(int(address))  # without the name of a link, which no network holds
    for network, shift in EMBEDDED:
        if plain in network:
            return IPv4Address(int(plain) >> shift & 0xFFFFFFFF)
    return plain

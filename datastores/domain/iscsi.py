"""Names and addresses of iSCSI (RFC 3720, RFC 3721): what may stand in settings and on command lines."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field

from datastores.domain.errors import BadInput
from datastores.domain.values import host_address, port_number

PORT = 3260
NAME_MAX = 223
"""Bytes of a name (RFC 3720, 3.2.6.1)."""
AUTHORITY = "iqn.2013-10.org.opennebula"
"""What the names of OpenNebula's targets begin with (domain.md, ISCSI)."""

HOST_MAX = 64
"""Characters of what targets and initiators call a host."""
LABEL_MAX = 40
"""Characters of what datastores are told apart by in names on their hosts."""
DIGITS = 8
"""Of a digest, where names have to differ: enough for all datastores that a host can have."""

SECRETS = "/var/lib/cloudstore/chap"
"""The directory of a host where files with CHAP secrets lie; root alone may enter it."""
SECRET_MIN, SECRET_MAX = 12, 16
"""Characters: fewer are guessed from one login that was overheard, and some initiators take no more."""

_AUTHORITY = re.compile(r"iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")
_IQN = re.compile(r"iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[A-Za-z0-9]([A-Za-z0-9._:+-]*[A-Za-z0-9])?\Z")
_EUI = re.compile(r"(eui\.[0-9A-Fa-f]{16}|naa\.[0-9A-Fa-f]{16}([0-9A-Fa-f]{16})?)\Z")
_SECRET = re.compile(rf"[A-Za-z0-9._:@+-]{{{SECRET_MIN},{SECRET_MAX}}}\Z")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}\Z")
_LABEL = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}\Z")
_PORTAL = re.compile(r"(\[(?P<v6>[0-9A-Fa-f:]+)\]|(?P<v4>[0-9.]+))(:(?P<port>[0-9]{1,5}))?\Z")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9.-]+")


def iqn(value: str, what: str = "The name of the target") -> str:
    """Return the name of a target or initiator: iqn.2013-10.org.opennebula:h1.vg-one.lv-one-7, eui... or naa...

    Appliances and older targets use underscores, so these are taken, too.
    """
    if len(value) > NAME_MAX or not (_IQN.match(value) or _EUI.match(value)):
        raise BadInput(f"{what} {value[:60]!r} is no iSCSI name, such as {AUTHORITY}:h1.vg-one.lv-one-7.")
    return value


def authority(value: str) -> str:
    """Return what all names of a datastore's targets begin with: iqn, a month and a domain turned round."""
    if len(value) > 100 or not _AUTHORITY.match(value):
        raise BadInput(f"{value[:60]!r} is not what names of targets begin with, such as {AUTHORITY}.")
    return value


def name_part(text: str) -> str:
    """Return the text as it can stand in a name: small letters, digits, dots and dashes."""
    return _NOT_IN_NAMES.sub("-", text.lower()).strip("-.")


def distinct(text: str, most: int) -> str:
    """Return the text as it can stand in a name, in at most so many characters, and as that of no other text.

    What was lost of it on the way is made up for by digits of its digest.
    """
    name = name_part(text)
    if name == text and len(name) <= most:
        return name
    return _with_digits(name, hashlib.sha256(text.encode()).hexdigest(), most)


def _with_digits(name: str, digits: str, most: int) -> str:
    return "-".join(filter(None, (name[-(most - DIGITS - 1) :].strip("-."), digits[:DIGITS])))


def new_label(base: str) -> str:
    """Return what a new datastore at this path is told from all others by: the path alone, some have elsewhere."""
    return _with_digits(name_part(base), secrets.token_hex(DIGITS), LABEL_MAX)


def initiator(value: str) -> str:
    """Return who may log in: an IP address, a network, or the name of an initiator."""
    if value.startswith(("iqn.", "eui.", "naa.")):
        return iqn(value, "The name of the initiator")
    try:
        found = ipaddress.ip_network(value)
    except ValueError as error:
        raise BadInput(f"The initiator {value[:60]!r} is no IP address, network or iSCSI name ({error}).") from error
    if not found.prefixlen:
        raise BadInput(f"{value} lets everybody log in. Name the hosts, or their network.")
    return str(found.network_address) if found.prefixlen == found.max_prefixlen else str(found)


def is_name(value: str) -> bool:
    """Tell whether an initiator is given by its name, and not by where it comes from."""
    return value.startswith(("iqn.", "eui.", "naa."))


def chap_secret(value: str) -> str:
    """Return the secret of a CHAP account as every target, initiator and file of settings takes it."""
    if not _SECRET.match(value):  # the value itself is told to nobody
        raise BadInput(f"A CHAP secret has {SECRET_MIN} to {SECRET_MAX} letters, digits or . _ : @ + - signs.")
    return value


def make_chap_secret() -> str:
    """Return a new secret, with 95 bits that nobody can know."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(SECRET_MAX))


def chap_name(value: str) -> str:
    """Return the name of a CHAP account."""
    if not _ACCOUNT.match(value):
        raise BadInput(f"{value[:60]!r} is no name of a CHAP account: letters, digits and . _ : @ + - signs.")
    return value


@dataclass(frozen=True, slots=True)
class Account:
    """As whom initiators log in (CHAP, RFC 1994). Its secret is in ``file`` on the hosts, and in no command.

    ``label``: what no other datastore's file is called on the host. ``digest``: SHA-256 of the secret.
    """

    name: str
    label: str
    digest: str

    def __post_init__(self) -> None:
        chap_name(self.name)
        if not _LABEL.match(self.label):
            raise BadInput(f"{self.label[:60]!r} cannot be the name of a file with a secret.")

    @property
    def file(self) -> str:
        return f"{SECRETS}/{self.label}"


@dataclass(frozen=True, slots=True)
class Portal:
    """Where a target is reached. ``address``: an IP address or the name of a host."""

    address: str
    port: int = PORT

    def __post_init__(self) -> None:
        if host_address(self.address, "The address of the portal") != self.address:
            raise BadInput(f"The portal {self.address} is not in its usual form.")
        port_number(self.port)

    def __str__(self) -> str:
        """Return it as iscsiadm and URLs want it: [fd00::1]:3260."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def portals(value: str) -> tuple[Portal, ...]:
    """Return the portals that are named: IP addresses with blanks between them, each with a port if need be."""
    found = tuple(_portal(word) for word in value.split())
    if len(set(found)) != len(found):
        raise BadInput(f"One of the portals {value} is named twice.")
    return found


def _portal(word: str) -> Portal:
    parts = _PORTAL.match(word)
    if not parts:
        raise BadInput(f"{word[:60]!r} is no portal, such as 10.0.0.5, 10.0.0.5:3261 or [fd00::5]:3260.")
    try:
        address = str(ipaddress.ip_address(parts["v6"] or parts["v4"]))
    except ValueError as error:
        raise BadInput(f"The portal {word[:60]!r} is no IP address ({error}).") from error
    return Portal(address, int(parts["port"] or PORT))


@dataclass(frozen=True, slots=True)
class Lun:
    """One disk of a target, as an initiator names it."""

    portal: Portal
    iqn: str
    number: int = 1

    def __post_init__(self) -> None:
        iqn(self.iqn)
        if not 0 <= self.number <= 16383:
            raise BadInput(f"The number of a LUN is from 0 to 16383, not {self.number}.")

    @property
    def url(self) -> str:
        """What QEMU opens by itself, through libiscsi (qemu(1), "iSCSI")."""
        return f"iscsi://{self.portal}/{self.iqn}/{self.number}"

    @property
    def device(self) -> str:
        """The device that the kernel of a host makes of it when it is logged in (udev's path_id)."""
        return f"/dev/disk/by-path/ip-{self.portal}-iscsi-{self.iqn}-lun-{self.number}"


@dataclass(frozen=True, slots=True)
class PinnedLun:
    """A LUN of an appliance that is an image here. ``uuid``: of the image. ``size``: bytes that it had then."""

    uuid: str
    lun: Lun
    size: int


@dataclass(frozen=True, slots=True)
class Names:
    """What the names on hosts were made of when they were given, for these stay when rows change.

    ``label``: no other datastore has it. ``hosts``: what targets and initiators call each host of the datastore,
    whatever it is called here by now.
    """

    label: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)

    def of(self, host: str) -> str:
        return self.hosts.get(host) or distinct(host, HOST_MAX)

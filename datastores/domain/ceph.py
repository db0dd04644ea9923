"""Ceph from a client's side: who asks which cluster, and what images of RBD are called."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from uuid import UUID

from datastores.domain.errors import BadInput
from datastores.domain.values import host_address, port_number

CONNECT_SECONDS = 10
"""After which a client gives up to find a monitor; by itself it would try for five minutes."""
DIRECTORY = "/etc/ceph"
SNAP = "snap"
"""The snapshot that clones are made of: OpenNebula's name. Its content is the image as cloudstore last left it."""
PART = ".part"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}\Z")
MONITOR_PORT = 3300
_CLUSTER = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_MONITOR = re.compile(
    r"\[?(?:v[12]:)?(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9.-]+))(?::(?P<port>[0-9]{1,5}))?(?:/[0-9]+)?\]?\Z"
)
_SETTING = re.compile(r"\s*(?P<key>[A-Za-z][A-Za-z0-9 _-]*?)\s*=\s*(?P<value>.*?)\s*(?:[#;].*)?\Z")
_KEY_SIZES = {1: 28, 2: 44}
"""Bytes of a key by its kind (16 bits, little-endian): AES-128, AES-256; both begin with kind, time and length."""


def pool_name(value: str) -> str:
    """Return the name of a pool. Narrower than Ceph's own rule: ``/ @ :`` and blanks mean something to rbd and QEMU."""
    if not _NAME.match(value):
        raise BadInput(f"{value[:40]!r} is not the name of a pool: letters, digits and _ . - are allowed.")
    return value


def cephx_key(value: str) -> str:
    """Return the key of an account, as ``ceph auth print-key`` prints it. A wrong one is not repeated in the error."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) < 2 or _KEY_SIZES.get(int.from_bytes(raw[:2], "little")) != len(raw):
        raise BadInput("That is no key of Ceph. `ceph auth print-key client.<account>` prints the one of an account.")
    return value


def cluster_id(value: str) -> str:
    """Return the fsid of a cluster in its usual form."""
    try:
        usual = str(UUID(value))
    except ValueError:
        raise BadInput(f"{value[:40]!r} is no fsid. `ceph fsid` prints that of a cluster.") from None
    if usual != value:
        raise BadInput(f"The fsid {value[:40]} is usually written {usual}.")
    return value


def monitors(value: str) -> str:
    """Return the monitors as ``mon_host`` names them: addresses separated by commas, without blanks."""
    for word in value.split(","):
        found = _MONITOR.match(word)
        if not found:
            raise BadInput("The monitors are addresses separated by commas, such as 10.0.0.1,10.0.0.2.")
        host_address(found["v6"] or found["host"], f"The monitor {word[:60]}")
        port_number(int(found["port"] or MONITOR_PORT))
    return value


@dataclass(frozen=True, slots=True)
class Access:
    """How a host asks a cluster: as which account, with which files. ``user``: libvirt for client.libvirt."""

    cluster: str = "ceph"
    user: str = "libvirt"

    def __post_init__(self) -> None:
        if not _CLUSTER.match(self.cluster):
            raise BadInput(f"{self.cluster[:40]!r} is not the name of a cluster: small letters, digits and _ -.")
        if not _NAME.match(self.user):
            raise BadInput(f"{self.user[:40]!r} is not the name of an account; for client.libvirt say libvirt.")

    @property
    def entity(self) -> str:
        return f"client.{self.user}"

    @property
    def conf(self) -> str:
        return f"{DIRECTORY}/{self.cluster}.conf"

    @property
    def keyring(self) -> str:
        return f"{DIRECTORY}/{self.cluster}.{self.entity}.keyring"

    def rbd(self, *words: str) -> tuple[str, ...]:
        """Return the argv of ``rbd <words>``, which does not wait for ever for a cluster that is not there."""
        who = ("--cluster", self.cluster, "--id", self.user)
        return "rbd", *who, "--client-mount-timeout", str(CONNECT_SECONDS), *words

    def ceph(self, *words: str) -> tuple[str, ...]:
        """Return the argv of ``ceph <words>``, which answers in JSON."""
        who = ("--cluster", self.cluster, "--id", self.user)
        return "ceph", *who, "--connect-timeout", str(CONNECT_SECONDS), "--format", "json", *words


@dataclass(frozen=True, slots=True)
class RbdImage:
    """An image in a pool, as this account reaches it."""

    access: Access
    pool: str
    name: str

    def __post_init__(self) -> None:
        pool_name(self.pool)
        if not _NAME.match(self.name):
            raise BadInput(f"{self.name[:40]!r} is not the name of an image.")

    @property
    def spec(self) -> str:
        return f"{self.pool}/{self.name}"

    @property
    def part(self) -> RbdImage:
        """The image under which it is made, until it is whole."""
        return RbdImage(self.access, self.pool, self.name + PART)

    def at(self, snapshot: str) -> str:
        return f"{self.spec}@{snapshot}"

    @property
    def qemu(self) -> str:
        """What QEMU opens (qemu-block-drivers(7)). It looks for the keyring of a cluster called ceph by itself."""
        access = self.access
        keyring = "" if access.cluster == "ceph" else f":keyring={access.keyring}"
        return f"rbd:{self.spec}:id={access.user}:conf={access.conf}{keyring}"

    def rbd(self, *words: str) -> tuple[str, ...]:
        return self.access.rbd(*words)


def image_at(access: Access, path: str) -> RbdImage:
    """Return the image that a volume's path names: ``pool/name``.

    :raises BadInput: it is no such name.
    """
    pool, _, name = path.partition("/")
    return RbdImage(access, pool, name)


def settings(text: str, section: str) -> dict[str, str]:
    """Return what a file of Ceph's sets in a section. Blanks and ``-`` in keys are the same as ``_`` there."""
    found: dict[str, str] = {}
    inside = ""
    for line in text.splitlines():
        if line.strip().startswith("["):
            inside = line.strip().strip("[]").strip()
        elif inside == section and (setting := _SETTING.match(line)):
            found[re.sub(r"[ -]+", "_", setting["key"]).lower()] = setting["value"]
    return found


def conf(fsid: str, mon_host: str) -> str:
    """Return the text of a ``ceph.conf`` for a client: where the cluster is, and which one it is."""
    return f"# Written by cloudstore.\n[global]\nfsid = {fsid}\nmon_host = {mon_host}\n"


def keyring(entity: str, key: str) -> str:
    """Return the text of a keyring with one key."""
    return f"[{entity}]\n\tkey = {key}\n"

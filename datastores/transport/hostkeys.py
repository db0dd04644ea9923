"""Public host keys: what a host is known by."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from paramiko import PKey

from datastores.domain.errors import BadInput, HostKeyChanged, NotConnected
from datastores.transport.endpoint import Endpoint

FAMILIES = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa": ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Kinds of host key, best first, and the signature algorithms with which a host proves one."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key. ``line`` is "type base64"; ``fingerprint`` as ``ssh-keygen -l`` prints it."""

    type: str
    line: str
    fingerprint: str


def fingerprint(line: str) -> str:
    """Return "SHA256:..." of a public key line (or a certificate's), as ``ssh-keygen -l`` prints it.

    :raises BadInput: the line is not a public key.
    """
    return _fingerprint(read_blob(line)[1])


def read_blob(line: str) -> tuple[str, bytes]:
    """Return (type, key in wire form) of a line "type base64 [comment]".

    :raises BadInput: the line is not a public key.
    """
    words = line.split(maxsplit=2)
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, binascii.Error, ValueError):
        raise BadInput('A public key is one line such as "ssh-ed25519 AAAA...".') from None
    # RFC 4253, 6.6: the key begins with its own type, a string after a length of four bytes
    named = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    if not named or named != words[0].encode():
        raise BadInput(f"The key does not fit its type {words[0][:40]!r}; it may have been cut off.")
    return words[0], blob


def host_key(key: PKey) -> HostKey:
    """Return what a host offered."""
    line = f"{key.get_name()} {key.get_base64()}"
    return HostKey(key.get_name(), line, _fingerprint(key.asbytes()))


def algorithms(endpoint: Endpoint) -> list[str]:
    """Return the signature algorithms to ask for, those of the pinned keys first: else a host with several keys
    would offer one that is not pinned.

    :raises NotConnected: no key is pinned.
    :raises BadInput: a pinned line is not a public key.
    """
    if not endpoint.host_keys:
        raise NotConnected(
            f"No host key of {endpoint.where} is pinned, so it cannot be told from an impostor. "
            "Nothing was sent to it. Compare its fingerprint on the console and pin it first."
        )
    kinds = {read_blob(line)[0] for line in endpoint.host_keys}
    names = [name for family, members in FAMILIES.items() for name in members]
    pinned = [name for name in names if name in kinds or (name.startswith("rsa-") and "ssh-rsa" in kinds)]
    return pinned + [name for name in names if name not in pinned]


def check(endpoint: Endpoint, key: PKey) -> None:
    """Compare what the host offered with the pinned keys.

    :raises HostKeyChanged: it is none of them.
    """
    if key.asbytes() in {read_blob(line)[1] for line in endpoint.host_keys}:
        return
    offered = host_key(key)
    same = [line for line in endpoint.host_keys if line.split()[0] == offered.type] or endpoint.host_keys
    raise HostKeyChanged(endpoint.name, fingerprint(same[0]), offered.fingerprint, offered.line)


def _fingerprint(blob: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"

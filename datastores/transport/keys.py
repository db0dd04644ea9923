"""Keys with which we log in: made, read, checked. Nothing here shows a private key in an error."""

from __future__ import annotations

import io
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko import ECDSAKey, Ed25519Key, Message, PKey, RSAKey

from datastores.domain.errors import BadInput
from datastores.transport.hostkeys import read_blob

PrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_OPENSSH = serialization.PrivateFormat.OpenSSH
_PEM = serialization.Encoding.PEM
_PLAIN = serialization.NoEncryption()


def generate_key() -> tuple[str, str]:
    """Return a new Ed25519 key: (private key as OpenSSH text, public line)."""
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(_PEM, _OPENSSH, _PLAIN).decode(), _public_line(key)


def public_line(private_key: str, passphrase: str = "") -> str:
    """Return the line for authorized_keys, without a comment.

    :raises BadInput: it is no private key that can be used, or the passphrase does not open it.
    """
    return _public_line(_read(private_key, passphrase))


def load_key(private_key: str, passphrase: str = "", certificate: str = "") -> PKey:
    """Return the key for logging in, with its certificate when there is one.

    :raises BadInput: one of the three is not usable, or they do not belong together.
    """
    key = _read(private_key, passphrase)
    text = io.StringIO(key.private_bytes(_PEM, _OPENSSH, _PLAIN).decode())
    loaded: PKey
    if isinstance(key, ed25519.Ed25519PrivateKey):
        loaded = Ed25519Key.from_private_key(text)
    elif isinstance(key, rsa.RSAPrivateKey):
        loaded = RSAKey.from_private_key(text)
    else:
        loaded = ECDSAKey.from_private_key(text)
    if certificate:
        _check_certificate(certificate, key)
        # Given as a message: paramiko would take a text that is the name of a file for that file.
        loaded.load_certificate(Message(read_blob(certificate)[1]))
    return loaded


def _public_line(key: PrivateKey) -> str:
    encoded = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return encoded.decode()


def _read(text: str, passphrase: str) -> PrivateKey:
    """Read a private key in OpenSSH, PKCS#8 or the old PEM form."""
    data = text.strip().encode() + b"\n"
    password = passphrase.encode() or None
    load = serialization.load_pem_private_key
    if b"-----BEGIN OPENSSH PRIVATE KEY-----" in data:
        load = serialization.load_ssh_private_key
    try:
        key = load(data, password)
    except TypeError:  # a passphrase is missing, or was given for a key without one
        if password:
            return _read(text, "")
        raise BadInput("The private key is protected by a passphrase, and none was given.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadInput(
            "The private key cannot be read: it is damaged or of an unknown form, or the passphrase is wrong."
            if password
            else "The private key cannot be read: it is damaged, or not an OpenSSH or PEM private key."
        ) from None
    if not isinstance(key, PrivateKey):
        raise BadInput("The private key is of a kind that is not supported: use Ed25519, ECDSA or RSA.")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < 2048:
        raise BadInput(f"The RSA key has only {key.key_size} bits; use one with at least 2048, or Ed25519.")
    return key


def _check_certificate(line: str, key: PrivateKey) -> None:
    try:
        certificate = serialization.load_ssh_public_identity(line.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadInput("The certificate cannot be read; it is the one line of a -cert.pub file.") from None
    if not isinstance(certificate, serialization.SSHCertificate):
        raise BadInput("That is a public key, not a certificate; a certificate's line begins with ...-cert-v01.")
    if certificate.type is not serialization.SSHCertificateType.USER:
        raise BadInput("That is the certificate of a host; logging in needs a user certificate.")
    if certificate.public_key() != key.public_key():
        raise BadInput("The certificate belongs to another private key.")

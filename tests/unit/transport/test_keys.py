"""Keys are read in every usual form, and errors never show them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain.errors import BadInput
from datastores.transport.hostkeys import fingerprint
from datastores.transport.keys import generate_key, load_key, public_line

OPENSSH, PKCS8, OLD = (
    serialization.PrivateFormat.OpenSSH,
    serialization.PrivateFormat.PKCS8,
    serialization.PrivateFormat.TraditionalOpenSSL,
)
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def private_text(key: Any, form: serialization.PrivateFormat, passphrase: str = "") -> str:
    lock = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, form, lock), "ascii")


def public_text(key: Any) -> str:
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return str(key.public_key().public_bytes(*form), "ascii")


def certificate(key: Any, kind: serialization.SSHCertificateType = serialization.SSHCertificateType.USER) -> str:
    builder = serialization.SSHCertificateBuilder().public_key(key.public_key())
    builder = builder.serial(1).type(kind).key_id(b"cloudstore").valid_principals([b"root"])
    return builder.valid_after(0).valid_before(1 << 40).sign(ED).public_bytes().decode()


FORMS = [(key, form) for key in (RSA, EC) for form in (OPENSSH, PKCS8, OLD)] + [(ED, OPENSSH), (ED, PKCS8)]


@pytest.mark.parametrize(("key", "form"), FORMS)
@pytest.mark.parametrize("passphrase", ["", "pass phrase é"])
def test_every_form_is_read(key: Any, form: serialization.PrivateFormat, passphrase: str) -> None:
    text = private_text(key, form, passphrase)
    assert public_line(text, passphrase) == public_text(key)
    loaded = load_key(text.replace("\n", "\r\n"), passphrase)
    assert f"{loaded.get_name()} {loaded.get_base64()}" == public_text(key)
    assert loaded.can_sign()


def test_a_generated_key_fits_its_public_line() -> None:
    private, public = generate_key()
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert public.startswith("ssh-ed25519 AAAA")
    assert public_line(private) == public
    assert generate_key()[0] != private


def test_a_passphrase_for_a_key_without_one_does_no_harm() -> None:
    assert public_line(private_text(EC, PKCS8), "not needed") == public_text(EC)
    assert public_line(private_text(ED, OPENSSH), "not needed") == public_text(ED)


@pytest.mark.parametrize("form", [OPENSSH, PKCS8])
def test_a_locked_key_asks_for_its_passphrase(form: serialization.PrivateFormat) -> None:
    text = private_text(ED, form, "right")
    with pytest.raises(BadInput, match="protected by a passphrase"):
        public_line(text)
    with pytest.raises(BadInput, match="passphrase is wrong"):
        public_line(text, "wrong")


def damaged(text: str) -> str:
    return text[:80] + text[120:]


@pytest.mark.parametrize(
    "text",
    ["", "garbage", public_text(ED), damaged(private_text(ED, OPENSSH)), damaged(private_text(RSA, PKCS8)), "\0é"],
    ids=["empty", "garbage", "public", "damaged", "damaged PKCS8", "binary"],
)
def test_what_is_no_private_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        public_line(text)
    assert caught.value.__cause__ is None
    assert all(line not in str(caught.value) for line in text.splitlines() if len(line) > 20)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(BadInput):
        public_line(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}\n-----END OPENSSH PRIVATE KEY-----")


def test_weak_and_outdated_keys_are_refused() -> None:
    with pytest.raises(BadInput, match="1024 bits"):
        public_line(private_text(rsa.generate_private_key(65537, 1024), PKCS8))  # noqa: S505
    with pytest.raises(BadInput, match="not supported"):
        public_line(private_text(dsa.generate_private_key(1024), PKCS8))  # noqa: S505


@pytest.mark.parametrize("key", [RSA, EC, ED])
def test_a_certificate_is_offered_with_its_key(key: Any) -> None:
    line = certificate(key)
    loaded = load_key(private_text(key, OPENSSH), "", f"{line} alice@example\n")
    assert loaded.public_blob is not None
    assert loaded.public_blob.key_type == line.split()[0]


def test_a_certificate_must_fit() -> None:
    text = private_text(ED, OPENSSH)
    other = ed25519.Ed25519PrivateKey.generate()
    for line, problem in [
        (certificate(other), "another private key"),
        (certificate(ED, serialization.SSHCertificateType.HOST), "certificate of a host"),
        (public_text(ED), "not a certificate"),
        ("nonsense", "cannot be read"),
    ]:
        with pytest.raises(BadInput, match=problem):
            load_key(text, "", line)


def test_a_certificate_is_never_taken_for_the_name_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key-cert.pub"
    path.write_text(certificate(ED))
    with pytest.raises(BadInput, match="cannot be read"):
        load_key(private_text(ED, OPENSSH), "", str(path))


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    for number, line in enumerate([public_text(RSA), public_text(EC), f"{public_text(ED)} a comment"]):
        path = tmp_path / f"{number}.pub"
        path.write_text(line)
        shown = subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, text=True, check=True)
        assert fingerprint(line) == shown.stdout.split()[1]


def test_a_known_fingerprint() -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert fingerprint(line) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"  # github.com's, as published


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 %%%", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMq", "ssh-ed25519 AAAA", "é é"]
)
def test_what_is_no_public_key_has_no_fingerprint(line: str) -> None:
    with pytest.raises(BadInput):
        fingerprint(line)

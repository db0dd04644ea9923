"""Where messages are never sent: to this machine, and to what only its own link reaches."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from datastores.jobs import messengers, outward
from datastores.jobs.deadlines import within
from datastores.jobs.messengers import Address, Message, NotDelivered, send
from datastores.jobs.outward import Checked, NotAllowed, dial, forbidden
from tests.unit.jobs.servers import Web, web_server

MESSAGE = Message("1", "test", "a", "b", {"id": "1"})
LOOPBACK = ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
NEVER = [
    "169.254.169.254", "169.254.0.1", "0.0.0.0", "0.1.2.3", "::", "fe80::1", "fe80::1%lo", "::ffff:169.254.169.254",
    "::ffff:0.0.0.0", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00:ec2::254",
    "fd00:ec2::254%lo", "100.100.100.200", "192.0.0.192", "224.0.0.1", "255.255.255.255",
    "ff02::1",
]  # fmt: skip
FINE = ["10.0.0.7", "192.168.1.1", "172.16.0.1", "100.64.0.1", "93.184.216.34", "fd12::1", "2606:2800::1",
        "::ffff:10.0.0.7"]  # fmt: skip


@pytest.mark.parametrize("address", [*LOOPBACK, *NEVER])
def test_nothing_is_sent_there(address: str) -> None:
    assert forbidden(address)


@pytest.mark.parametrize("address", FINE)
def test_private_and_public_networks_are_reached(address: str) -> None:
    assert not forbidden(address)


@pytest.mark.parametrize("address", LOOPBACK)
def test_this_machine_is_reached_when_an_admin_of_it_wants_that(address: str, settings: Any) -> None:
    settings.WEBHOOK_LOOPBACK = True
    assert not forbidden(address)


@pytest.mark.parametrize("address", NEVER)
def test_and_nothing_else_is(address: str, settings: Any) -> None:
    settings.WEBHOOK_LOOPBACK = True
    assert forbidden(address)


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as server:
        yield server


def test_this_machine_is_known_by_any_of_its_addresses(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has others than the loopback; here, this one stands for them."""
    monkeypatch.setattr(outward, "forbidden", lambda address: False)
    with pytest.raises(NotAllowed, match="is this machine"):
        dial("127.0.0.1", web.port)
    assert web.posted == []


WRITTEN = ["127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.1",
           "2130706433", "0x7f000001", "0177.0.0.1", "0"]  # fmt: skip


@pytest.mark.parametrize("host", WRITTEN)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_however_it_is_written(web: Web, host: str, scheme: str) -> None:
    with pytest.raises(NotDelivered):
        send(Address("webhook", f"{scheme}://{host}:{web.port}/hook"), MESSAGE)
    with pytest.raises((NotAllowed, socket.gaierror)):
        dial(host.strip("[]"), web.port)
    assert web.posted == []


def test_the_reason_says_what_the_name_stands_for(web: Web) -> None:
    with pytest.raises(NotDelivered, match=r"^localhost is .*127\.0\.0\.1.*neither to this machine"):
        send(Address("webhook", f"http://localhost:{web.port}/hook"), MESSAGE)


class Names:
    """A resolver that answers something else each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        families = [socket.AF_INET6 if ":" in each else socket.AF_INET for each in found]
        return [
            (family, socket.SOCK_STREAM, 6, "", (each, port, 0, 0) if ":" in each else (each, port))
            for family, each in zip(families, found, strict=True)
        ]


def test_a_name_that_means_something_else_the_second_time_is_asked_once(
    web: Web, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_LOOPBACK = True
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    monkeypatch.setattr(outward.socket, "getaddrinfo", names)
    send(Address("webhook", f"http://rebound.example:{web.port}/hook"), MESSAGE)
    assert (names.asked, len(web.posted)) == (1, 1)
    assert web.posted[0].headers["Host"] == f"rebound.example:{web.port}"


def test_of_several_addresses_only_those_that_are_allowed_are_tried(
    web: Web, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_LOOPBACK = True
    tried: list[Any] = []

    class Watched(socket.socket):
        def connect(self, address: Any) -> None:
            if self.family == socket.AF_INET:
                tried.append(address[0])
            super().connect(address)

    monkeypatch.setattr(outward.socket, "getaddrinfo", Names(["169.254.169.254", "127.0.0.9", "127.0.0.1", "::"]))
    monkeypatch.setattr(outward.socket, "socket", Watched)
    dial("h.example", web.port).close()
    assert tried == ["127.0.0.9", "127.0.0.1"]


class Patient(socket.socket):
    """Notes to whom it is connected over the network, and how long that may take."""

    given: ClassVar[list[tuple[str, float]]] = []

    def connect(self, address: Any) -> None:
        if self.family == socket.AF_INET:  # a thread may ring a bell meanwhile
            self.given.append((address[0], self.gettimeout() or 0.0))
        super().connect(address)


@pytest.fixture
def black_hole(web: Web, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address that never answers who connects: so many wait already that it hears nobody else."""
    settings.WEBHOOK_LOOPBACK = True
    with contextlib.ExitStack() as opened:
        opened.enter_context(closing(socket.create_server(("127.0.0.9", web.port), backlog=0)))
        for _ in range(4):
            waiting = opened.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.9", web.port))
        monkeypatch.setattr(Patient, "given", [])
        monkeypatch.setattr(outward.socket, "socket", Patient)
        yield "127.0.0.9"


def test_an_address_that_does_not_answer_leaves_time_to_the_next(
    web: Web, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outward, "SECONDS", 1.5)
    monkeypatch.setattr(outward, "ATTEMPT_SECONDS", 0.2)
    monkeypatch.setattr(outward.socket, "getaddrinfo", Names([black_hole, black_hole, "127.0.0.1"]))
    dial("h.example", web.port).close()
    assert [address for address, _ in Patient.given] == [black_hole, black_hole, "127.0.0.1"]
    assert [seconds for _, seconds in Patient.given] == pytest.approx([0.5] * 3, abs=0.3)


def test_many_that_do_not_answer_are_not_all_tried(web: Web, black_hole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "SECONDS", 0.5)
    monkeypatch.setattr(outward, "ATTEMPT_SECONDS", 0.3)
    monkeypatch.setattr(outward.socket, "getaddrinfo", Names([black_hole] * 9))
    with pytest.raises(TimeoutError):
        dial("h.example", web.port)
    assert [seconds for _, seconds in Patient.given] == [0.3, 0.3]


def test_a_redirect_to_this_machine_is_not_followed(web: Web, settings: Any) -> None:
    settings.WEBHOOK_LOOPBACK = True
    web.answers = [(307, {"Location": "http://169.254.169.254/latest/meta-data/"}, b"")]
    with pytest.raises(NotDelivered, match="Redirects are not followed"):
        send(Address("webhook", web.url), MESSAGE)


class TestHttps:
    """A server with a certificate for ``hooks.example``, which this machine is known as."""

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        path = tmp_path / "hooks.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
        return path

    @pytest.fixture
    def server(self, certificate: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        settings.WEBHOOK_LOOPBACK = True
        monkeypatch.setattr(outward.socket, "getaddrinfo", Names(["127.0.0.1"]))
        asked: list[str | None] = []
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        tls.sni_callback = lambda sock, name, context: asked.append(name)
        listening = socket.create_server(("127.0.0.1", 0))
        stop = threading.Event()

        def serve() -> None:
            raw, _ = listening.accept()
            try:
                with tls.wrap_socket(raw, server_side=True) as sock:
                    sock.recv(65536)
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    stop.wait(5)
            except OSError:
                raw.close()  # the client did not like the certificate

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], asked
        stop.set()
        listening.close()

    def trusting(self, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        context = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(messengers.ssl, "create_default_context", lambda: context)

    def test_is_asked_for_and_judged_by_its_name(
        self, server: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.trusting(certificate, monkeypatch)
        assert send(Address("webhook", f"https://hooks.example:{server[0]}/"), MESSAGE) == "200 OK: ok"
        assert server[1] == ["hooks.example"]

    def test_with_the_certificate_of_another_is_refused(
        self, server: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.trusting(certificate, monkeypatch)
        with pytest.raises(NotDelivered, match=r"certificate|CERTIFICATE"):
            send(Address("webhook", f"https://other.example:{server[0]}/"), MESSAGE)

    def test_that_nobody_vouches_for_is_refused(self, server: Any) -> None:
        with pytest.raises(NotDelivered, match=r"certificate|CERTIFICATE"):
            send(Address("webhook", f"https://hooks.example:{server[0]}/"), MESSAGE)

    def test_that_never_ends_its_greeting_is_cut_off(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.WEBHOOK_LOOPBACK = True
        monkeypatch.setattr(messengers, "DEADLINE", 0.3)
        with closing(socket.create_server(("127.0.0.1", 0))) as silent:
            started = time.monotonic()
            with pytest.raises(NotDelivered, match="did not answer in time"):
                send(Address("webhook", f"https://127.0.0.1:{silent.getsockname()[1]}/"), MESSAGE)
            assert time.monotonic() - started < 5


def test_what_was_connected_too_late_is_not_used(web: Web, settings: Any) -> None:
    settings.WEBHOOK_LOOPBACK = True
    with pytest.raises(TimeoutError), within(0.05) as deadline:
        while not deadline.is_over:
            time.sleep(0.01)
        with closing(Checked("127.0.0.1", web.port, deadline)) as connection:
            connection.request("POST", "/", b"x")
    assert web.posted == []


class Kept:
    """A socket that keeps what was sent."""

    def __init__(self) -> None:
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("host", "port", "is_tls", "named"),
    [("h.example", None, True, b"h.example"), ("h.example", None, False, b"h.example"),
     ("h.example", 8080, True, b"h.example:8080"), ("fd12::1", None, False, b"[fd12::1]")],
)  # fmt: skip
def test_the_other_side_is_called_by_its_name(host: str, port: int | None, is_tls: bool, named: bytes) -> None:
    tls = ssl.create_default_context() if is_tls else None
    with within(5) as deadline, closing(Checked(host, port, deadline, tls)) as connection:
        connection.sock = Kept()  # type: ignore[assignment]
        connection.request("POST", "/", b"x")
        assert b"\r\nHost: " + named + b"\r\n" in connection.sock.sent  # type: ignore[attr-defined]


def test_a_name_without_an_address_that_is_allowed_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward.socket, "getaddrinfo", Names(["169.254.169.254", "::1"]))
    monkeypatch.setattr(outward.socket, "socket", lambda *args: 1 / 0)
    with pytest.raises(NotAllowed, match=r"169\.254\.169\.254, ::1"):
        dial("metadata.example", 80)


def test_every_network_that_leads_to_ipv4_is_unwrapped() -> None:
    for address in ("::ffff:10.1.2.3", "::10.1.2.3", "64:ff9b::10.1.2.3", "2002:0a01:0203::9"):
        assert str(outward.meant(ipaddress.ip_address(address))) == "10.1.2.3", address

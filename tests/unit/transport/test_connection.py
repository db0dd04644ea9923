"""Who is let in, who we talk to, and what an operator is told when it does not work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import paramiko
import pytest

from datastores.domain.errors import AuthenticationFailed, BadInput, HostKeyChanged, NotConnected
from datastores.domain.plan import Command
from datastores.transport.endpoint import Endpoint
from datastores.transport.hostkeys import algorithms, fingerprint
from datastores.transport.keys import generate_key, load_key
from datastores.transport.pool import Pool
from datastores.transport.scan import scan_host_keys
from tests.unit.transport.conftest import ServerFactory
from tests.unit.transport.server import PRIVATE_KEY, PUBLIC_LINE, Server

RSA = paramiko.RSAKey.generate(2048)
ECDSA = paramiko.ECDSAKey.generate()
HELLO = Command(("echo", "hello"), root=False)


def hello(pool: Pool, endpoint: Endpoint) -> str:
    return pool.shell(endpoint).run(HELLO).stdout


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of something that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


# ---- the host's key


def test_a_changed_host_key_is_refused_before_anything_is_sent(server: Server, pool: Pool) -> None:
    pinned = generate_key()[1]
    with pytest.raises(HostKeyChanged) as caught:
        hello(pool, server.endpoint(host_keys=(pinned,), password="secret"))
    assert caught.value.expected == fingerprint(pinned)
    assert caught.value.offered == fingerprint(server.pinned[0])
    assert caught.value.offered_line == server.pinned[0]
    assert not server.auths
    assert not server.lines


def test_a_host_without_a_pinned_key_is_not_even_called(server: Server, pool: Pool) -> None:
    with pytest.raises(NotConnected, match="pin it first"):
        hello(pool, server.endpoint(host_keys=()))
    assert server.connections == 0


def test_a_pinned_key_of_another_kind_does_not_count_as_this_one(make_server: ServerFactory, pool: Pool) -> None:
    server = make_server(host_keys=[RSA])
    with pytest.raises(HostKeyChanged):
        hello(pool, server.endpoint(host_keys=(generate_key()[1],)))
    assert not server.auths


@pytest.mark.parametrize("key", [RSA, ECDSA, load_key(generate_key()[0])])
def test_a_host_with_several_keys_is_asked_for_the_pinned_one(
    make_server: ServerFactory, pool: Pool, key: paramiko.PKey
) -> None:
    server = make_server(host_keys=[load_key(generate_key()[0]), RSA, ECDSA, key])
    assert hello(pool, server.endpoint(host_keys=(f"{key.get_name()} {key.get_base64()} comment",))) == "hello\n"


def test_several_keys_may_be_pinned_while_one_replaces_the_other(server: Server, pool: Pool) -> None:
    assert hello(pool, server.endpoint(host_keys=(generate_key()[1], *server.pinned))) == "hello\n"


def test_a_pinned_line_that_is_no_key_is_bad_input(server: Server, pool: Pool) -> None:
    with pytest.raises(BadInput):
        hello(pool, server.endpoint(host_keys=("ssh-ed25519 nonsense",)))
    assert server.connections == 0


def test_pinned_kinds_are_asked_for_first() -> None:
    rsa_line = f"ssh-rsa {RSA.get_base64()}"
    assert algorithms(Endpoint("h1", "::1", host_keys=(rsa_line,)))[:2] == ["rsa-sha2-512", "rsa-sha2-256"]
    assert algorithms(Endpoint("h1", "::1", host_keys=(PUBLIC_LINE,)))[0] == "ssh-ed25519"


def test_scanning_shows_every_key_and_logs_in_nowhere(make_server: ServerFactory) -> None:
    server = make_server(host_keys=[ECDSA, RSA, load_key(generate_key()[0])])
    found = scan_host_keys("127.0.0.1", server.port, timeout=5)
    assert [key.type for key in found] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    assert {key.line for key in found} == set(server.pinned)
    assert [key.fingerprint for key in found] == [fingerprint(key.line) for key in found]
    assert not server.auths


# ---- logging in


def test_logging_in_by_password(make_server: ServerFactory, pool: Pool) -> None:
    server = make_server(passwords={"ops": "ops-pass"})
    assert hello(pool, server.endpoint(account="ops", private_key="", password="ops-pass")) == "hello\n"


def test_a_wrong_password_is_not_shown(make_server: ServerFactory, pool: Pool) -> None:
    server = make_server(passwords={"ops": "ops-pass"})
    endpoint = server.endpoint(account="ops", private_key="", password="gue55ed")
    with pytest.raises(AuthenticationFailed, match="refused the account ops with its password") as caught:
        hello(pool, endpoint)
    assert "gue55ed" not in f"{caught.value!r}{endpoint!r}"


def test_a_key_that_is_not_authorized_is_named(server: Server, pool: Pool) -> None:
    private, public = generate_key()
    with pytest.raises(AuthenticationFailed, match="authorized_keys") as caught:
        hello(pool, server.endpoint(private_key=private))
    assert fingerprint(public) in str(caught.value)


def test_the_password_is_tried_after_the_key(make_server: ServerFactory, pool: Pool) -> None:
    server = make_server(passwords={"root": "first"}, authorized=["none"])
    assert hello(pool, server.endpoint(password="first")) == "hello\n"
    assert server.auths[-1] == ("password", "root")


def test_a_host_may_want_key_and_password(make_server: ServerFactory, pool: Pool) -> None:
    server = make_server(passwords={"root": "second"}, both=True)
    assert hello(pool, server.endpoint(password="second")) == "hello\n"
    with pytest.raises(AuthenticationFailed):
        hello(pool, server.endpoint())


def test_what_the_host_accepts_is_told(server: Server, pool: Pool) -> None:
    with pytest.raises(AuthenticationFailed, match="accepts only: publickey"):
        hello(pool, server.endpoint(private_key="", password="x"))


def test_nothing_to_log_in_with_is_an_error(server: Server, pool: Pool) -> None:
    with pytest.raises(AuthenticationFailed, match="neither a key nor a password"):
        hello(pool, server.endpoint(private_key=""))


def test_keys_of_the_environment_are_never_offered(
    make_server: ServerFactory, pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    server = make_server(passwords={"root": "right"})
    monkeypatch.setenv("SSH_AUTH_SOCK", f"{tmp_path}/agent")
    assert hello(pool, server.endpoint(private_key="", password="right")) == "hello\n"
    assert [method for method, _ in server.auths] == ["password"]


def test_an_agent_that_is_not_there_is_told(server: Server, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(AuthenticationFailed, match="the agent's keys"):
        hello(pool, server.endpoint(private_key="", use_agent=True))


def test_secrets_are_not_in_the_repr(server: Server) -> None:
    shown = repr(server.endpoint(password="pa55", passphrase="phra5e"))
    assert "pa55" not in shown
    assert "phra5e" not in shown
    assert PRIVATE_KEY not in shown


# ---- what answers, and what does not


@pytest.mark.parametrize("shell", [("/bin/echo", "This account is not available."), ("/bin/true",), ("/bin/cat",)])
def test_an_account_whose_shell_does_not_undo_our_quotes_is_refused(
    make_server: ServerFactory, pool: Pool, shell: tuple[str, ...]
) -> None:
    server = make_server(shell=shell)
    with pytest.raises(NotConnected, match="not a plain POSIX shell"):
        hello(pool, server.endpoint())
    assert len(server.lines) == 1


def test_a_profile_that_prints_is_refused(make_server: ServerFactory, pool: Pool) -> None:
    server = make_server(shell=("/bin/sh", "-c", 'echo Welcome; eval "$0"'))  # noqa: S604
    with pytest.raises(NotConnected, match="Welcome"):
        hello(pool, server.endpoint())


def test_a_closed_port(server: Server, pool: Pool) -> None:
    server.close()
    with pytest.raises(NotConnected, match="refuses the connection"):
        hello(pool, server.endpoint())


def test_a_port_that_never_answers(silent: int) -> None:
    with Pool(timeout=0.5) as pool, pytest.raises(NotConnected, match="h1"):
        hello(pool, Endpoint("h1", "127.0.0.1", silent, host_keys=(PUBLIC_LINE,), private_key=PRIVATE_KEY))


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_something_else_that_answers(pool: Pool, says: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            wire, _ = listener.accept()
            with wire:
                wire.sendall(says)

        threading.Thread(target=answer, daemon=True).start()
        port = listener.getsockname()[1]
        with pytest.raises(NotConnected, match=r"not as an SSH server|closed the connection"):
            hello(pool, Endpoint("h1", "127.0.0.1", port, host_keys=(PUBLIC_LINE,), private_key=PRIVATE_KEY))


def test_a_name_that_nobody_knows(pool: Pool) -> None:
    with pytest.raises(NotConnected, match="cannot be resolved"):
        hello(pool, Endpoint("h1", "nowhere.invalid", host_keys=(PUBLIC_LINE,), private_key=PRIVATE_KEY))


# ---- through another host


def test_through_a_jump_host(make_server: ServerFactory, pool: Pool) -> None:
    jump, target = make_server(), make_server()
    endpoint = target.endpoint(jump=jump.endpoint(name="jump"))
    assert hello(pool, endpoint) == "hello\n"
    assert (jump.connections, target.connections) == (1, 1)
    assert not any(b"hello" in line for line in jump.lines)
    assert scan_host_keys("127.0.0.1", target.port, timeout=5, jump=endpoint.jump)[0].line == target.pinned[0]


def test_two_targets_share_the_way_through_a_jump_host(make_server: ServerFactory, pool: Pool) -> None:
    jump, first, second = make_server(), make_server(), make_server()
    for target in (first, second):
        assert hello(pool, target.endpoint(jump=jump.endpoint())) == "hello\n"
    assert jump.connections == 1


def test_the_jump_hosts_own_key_is_pinned_too(make_server: ServerFactory, pool: Pool) -> None:
    jump, target = make_server(), make_server()
    with pytest.raises(HostKeyChanged, match="jump"):
        hello(pool, target.endpoint(jump=jump.endpoint(name="jump", host_keys=(PUBLIC_LINE,))))
    assert target.connections == 0
    assert not jump.auths


def test_a_changed_key_behind_a_jump_host_is_seen(make_server: ServerFactory, pool: Pool) -> None:
    jump, target = make_server(), make_server()
    with pytest.raises(HostKeyChanged):
        hello(pool, target.endpoint(host_keys=(PUBLIC_LINE,), jump=jump.endpoint()))
    assert not target.auths


def test_a_jump_host_that_does_not_forward(make_server: ServerFactory, pool: Pool) -> None:
    jump, target = make_server(forwarding=False), make_server()
    with pytest.raises(NotConnected, match="AllowTcpForwarding"):
        hello(pool, target.endpoint(jump=jump.endpoint(name="jump")))


def test_a_target_that_the_jump_host_does_not_reach(make_server: ServerFactory, pool: Pool) -> None:
    jump, target = make_server(), make_server()
    target.close()
    with pytest.raises(NotConnected, match="cannot connect to it"):
        hello(pool, target.endpoint(jump=jump.endpoint()))

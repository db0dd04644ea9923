"""One authenticated connection to a host, on which many commands may run side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from paramiko import Agent, AuthenticationException, Channel, SSHException
from paramiko.ssh_exception import BadAuthenticationType

from datastores.domain.errors import AuthenticationFailed, NotConnected, Unreachable
from datastores.transport import dial, hostkeys
from datastores.transport.client import Client
from datastores.transport.endpoint import Endpoint
from datastores.transport.keys import load_key
from datastores.transport.quoting import encode_line, shell_line
from datastores.transport.spares import SessionRefused, Spares, Stale
from datastores.transport.stream import LOST

PROBE = "cloud'\\''$HOME`\"; store"
"""Text whose quoting only a POSIX shell undoes rightly."""


class Connection:
    """An authenticated transport. ``users`` (commands that run on it) and the other counters belong to the pool."""

    def __init__(self, endpoint: Endpoint, transport: Client, timeout: float, jump: Connection | None = None) -> None:
        self.endpoint, self.transport, self.jump = endpoint, transport, jump
        self.users = self.limit = 0
        self.refused_at = 0.0
        self.passing = False
        """It was made for a passing shell, and nobody else has used it."""
        self.idle_since = time.monotonic()
        self._timeout = timeout
        self._starting: list[float] = []
        self.spares = Spares(self.execute, timeout)

    @property
    def alive(self) -> bool:
        return self.transport.is_active()

    @property
    def stuck(self) -> bool:
        """A command was asked for and the host has not even said that it starts it."""
        return any(time.monotonic() - since > self._timeout for since in list(self._starting))

    def execute(self, line: bytes) -> Channel:
        """Start a command line and return its channel.

        :raises SessionRefused: there are too many sessions on this connection; nothing was run.
        :raises Stale: the connection is dead; nothing was run.
        :raises NotConnected: the account may not run commands.
        :raises Unreachable: it was lost while the command was being started.
        """
        name = self.endpoint.name
        try:
            channel = self.transport.open_session(timeout=self._timeout)
        except LOST as error:
            if "Timeout" not in str(error) and self._refused(error):
                raise SessionRefused from error
            raise Stale(f"The connection to {name} is lost ({error}); nothing was run.") from error
        begun = time.monotonic()
        self._starting.append(begun)
        try:
            channel.exec_command(line)
        except LOST as error:
            if self._refused(error):
                raise NotConnected(f"{name} does not let {self.endpoint.account} run commands.") from error
            raise Unreachable(
                f"The connection to {name} was lost just when a command was started; whether it ran is unknown."
            ) from error
        finally:
            self._starting.remove(begun)
        return channel

    def close(self) -> None:
        self.transport.close()

    def _refused(self, error: Exception) -> bool:
        """Was it the host that said no? Else the connection is lost.

        The error does not tell: paramiko keeps one for all threads, so that another may have taken it, and wakes
        us before it says that the connection is lost; hence the moment of waiting.
        """
        if not isinstance(error, SSHException):
            return False
        self.transport.join(0.1)
        return self.alive


def connect(endpoint: Endpoint, *, timeout: float, jump: Connection | None = None) -> Connection:
    """Connect, check the host's key, log in, and make sure that a POSIX shell answers.

    :raises NotConnected: with the reason; also as HostKeyChanged and AuthenticationFailed.
    :raises BadInput: the key or certificate of the endpoint cannot be used.
    """
    algorithms = hostkeys.algorithms(endpoint)
    methods = list(_methods(endpoint))
    address, port, where = endpoint.address, endpoint.port, endpoint.where
    wire: dial.Wire
    if jump:
        wire = dial.dial_through(jump.transport, address, port, timeout=timeout, where=where)
    else:
        wire = dial.dial(address, port, timeout=timeout, where=where)
    transport = dial.negotiate(wire, algorithms, timeout=timeout, where=where)
    try:
        hostkeys.check(endpoint, transport.get_remote_server_key())
        _log_in(transport, endpoint, methods)
        transport.set_keepalive(dial.KEEPALIVE)
        connection = Connection(endpoint, transport, timeout, jump)
        _check_shell(connection, timeout)
    except BaseException:
        transport.close()
        raise
    return connection


Method = tuple[str, Callable[[Client], object]]


def _methods(endpoint: Endpoint) -> Iterator[Method]:
    """The ways to log in, in order: a name for messages, and what does it."""
    account = endpoint.account
    if endpoint.certificate:
        certified = load_key(endpoint.private_key, endpoint.passphrase, endpoint.certificate)
        yield "its certificate", lambda transport: transport.auth_publickey(account, certified)
    if endpoint.private_key:
        key = load_key(endpoint.private_key, endpoint.passphrase)
        yield f"the key {key.fingerprint}", lambda transport: transport.auth_publickey(account, key)
    if endpoint.use_agent:
        yield "the agent's keys", lambda transport: _offer_agent_keys(transport, account)
    if endpoint.password:
        yield "its password", lambda transport: transport.auth_password(account, endpoint.password)


def _offer_agent_keys(transport: Client, account: str) -> None:
    agent = Agent()
    try:
        keys = agent.get_keys()
        if not keys:
            raise AuthenticationException("the agent holds no key, or none is running")
        for number, key in enumerate(keys, start=1):
            try:
                transport.auth_publickey(account, key)
                return
            except AuthenticationException:
                if number == len(keys) or not transport.is_active():
                    raise
    finally:
        agent.close()


def _log_in(transport: Client, endpoint: Endpoint, methods: list[Method]) -> None:
    """Try each method. A host may ask for several (AuthenticationMethods): then each goes one step further."""
    if not methods:
        raise AuthenticationFailed(f"There is neither a key nor a password to log in to {endpoint.where} with.")
    problem = ""
    for _, attempt in methods:
        problem = _try(attempt, transport, endpoint.where) or problem
        if transport.is_authenticated():
            return
        if not transport.is_active():
            problem = " It closed the connection."
            break
    tried = " and ".join(name for name, _ in methods)
    raise AuthenticationFailed(
        f"{endpoint.where} refused the account {endpoint.account} with {tried}.{problem} "
        "Check that the account exists there and that the key is in its authorized_keys. A password that was mistyped "
        "is given again where the host is edited."
    )


def _try(attempt: Callable[[Client], object], transport: Client, where: str) -> str:
    """Try one method; returns what the host said against it, if it is worth telling."""
    try:
        attempt(transport)
    except BadAuthenticationType as error:
        return f" It accepts only: {', '.join(error.allowed_types)}."
    except AuthenticationException as error:
        if "timeout" in str(error):
            raise NotConnected(f"{where} did not answer while logging in.") from error
    except LOST as error:
        raise NotConnected(f"{where} broke off while logging in ({error}).") from error
    return ""


def _check_shell(connection: Connection, timeout: float) -> None:
    """Make sure that what we quote arrives as it was: an account's shell may be fish, csh or nologin."""
    where, account = connection.endpoint.where, connection.endpoint.account
    said = b""
    try:
        channel = connection.execute(encode_line(shell_line(("printf", "%s", PROBE))))
        channel.settimeout(timeout)
        with channel:
            while piece := channel.recv(65536):
                said += piece
    except SessionRefused as error:
        raise NotConnected(f"{where} opens no session for {account} (MaxSessions).") from error
    except LOST as error:
        raise NotConnected(f"{where} let {account} in, but its shell does not answer.") from error
    if said.decode("utf-8", "replace") != PROBE:
        shown = said.decode("utf-8", "replace").strip()[:200] or "nothing"
        raise NotConnected(
            f"The login shell of {account} on {where} is not a plain POSIX shell: a test that should give back "
            f"its own text gave {shown!r}. Give the account /bin/sh or /bin/bash, and a profile that prints nothing."
        )

"""An SSH server in this process: real SSH on 127.0.0.1, real shells, and switches for what can go wrong."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    MSG_CHANNEL_REQUEST,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_CONNECT_FAILED,
    OPEN_SUCCEEDED,
    cMSG_CHANNEL_REQUEST,
)

from datastores.transport.endpoint import Endpoint
from datastores.transport.keys import generate_key, load_key

PRIVATE_KEY, PUBLIC_LINE = generate_key()


class Server:
    """Listens until ``close``. What clients did is in ``connections``, ``auths`` and ``lines``."""

    def __init__(
        self,
        *,
        host_keys: Iterable[paramiko.PKey] = (),
        passwords: Mapping[str, str] | None = None,
        authorized: Iterable[str] = (PUBLIC_LINE,),
        both: bool = False,
        shell: tuple[str, ...] = ("/bin/sh", "-c"),
        sessions: int = 10,
        forwarding: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.host_keys = list(host_keys) or [load_key(generate_key()[0])]
        self.passwords, self.authorized, self.both = dict(passwords or {}), set(authorized), both
        self.shell, self.sessions, self.forwarding = shell, sessions, forwarding
        self.env = {**os.environ, **(env or {})}
        self.mute = threading.Event()
        """Set: exec requests are not answered any more."""
        self.closed = threading.Event()
        self.connections = 0
        self.auths: list[tuple[str, str]] = []
        self.lines: list[bytes] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.transports: list[paramiko.Transport] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def pinned(self) -> tuple[str, ...]:
        return tuple(f"{key.get_name()} {key.get_base64()}" for key in self.host_keys)

    def endpoint(self, **changes: Any) -> Endpoint:
        """How to reach this server as root by key, with changes."""
        values: dict[str, Any] = {
            "name": "h1", "address": "127.0.0.1", "port": self.port, "host_keys": self.pinned,
            "private_key": PRIVATE_KEY,
        }  # fmt: skip
        return Endpoint(**{**values, **changes})

    def drop(self) -> None:
        """Cut every connection, as a reboot does."""
        for transport in self.transports:
            transport.close()
        self.transports.clear()

    def hold(self) -> None:
        """Fall silent on every connection, as a host does whose power is cut; new ones are served."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGSTOP)

    def close(self) -> None:
        self.closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which would go on in spite of close()
        self._listener.close()
        self.drop()
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                wire, _ = self._listener.accept()
                self.connections += 1
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                transport = _Transport(wire)
                for key in self.host_keys:
                    transport.add_server_key(key)
                self.transports.append(transport)
                transport.start_server(event=threading.Event(), server=_Session(self))


def _on_channel_request(channel: Any, message: paramiko.Message) -> None:
    paramiko.Channel._handle_request(channel, message)  # type: ignore[attr-defined]
    channel.transport.server_object.serve(channel)


class _Transport(paramiko.Transport):
    _channel_handler_table = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
        MSG_CHANNEL_REQUEST: _on_channel_request,
    }


class _Session(paramiko.ServerInterface):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.open_sessions = 0
        self.passed: set[str] = set()
        self.started: dict[int, subprocess.Popen[bytes]] = {}

    def get_allowed_auths(self, username: str) -> str:
        methods = ["publickey"] if self.server.authorized else []
        return ",".join(methods + (["password"] if self.server.passwords else []))

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.server.auths.append(("publickey", username))
        return self._judge("publickey", f"{key.get_name()} {key.get_base64()}" in self.server.authorized)

    def check_auth_password(self, username: str, password: str) -> int:
        self.server.auths.append(("password", username))
        return self._judge("password", self.server.passwords.get(username) == password)

    def _judge(self, method: str, right: bool) -> int:
        if not right:
            return AUTH_FAILED
        self.passed.add(method)
        return AUTH_PARTIALLY_SUCCESSFUL if self.server.both and len(self.passed) < 2 else AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self.open_sessions >= self.server.sessions:
            return OPEN_FAILED_CONNECT_FAILED
        self.open_sessions += 1
        return OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        if not self.server.forwarding:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        try:
            target = socket.create_connection(destination, 5)
        except OSError:
            return OPEN_FAILED_CONNECT_FAILED
        threading.Thread(target=self._forward, args=(chanid, target), daemon=True).start()
        return OPEN_SUCCEEDED

    def _forward(self, chanid: int, target: socket.socket) -> None:
        transport = next(each for each in self.server.transports if each.server_object is self)
        while not (channel := transport._channels.get(chanid)):  # type: ignore[attr-defined]
            time.sleep(0.001)
        with contextlib.suppress(OSError, EOFError), channel, target:
            while True:
                ready, _, _ = select.select([channel, target], [], [])
                for source, sink in ((channel, target), (target, channel)):
                    if source in ready:
                        data = source.recv(32768)
                        if not data:
                            return
                        sink.sendall(data)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.server.lines.append(command)
        if self.server.mute.is_set():
            self.server.closed.wait(30)
        process = subprocess.Popen(
            [*self.server.shell, command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.server.env, start_new_session=True,
        )  # fmt: skip
        self.server.processes.append(process)
        self.started[channel.chanid] = process
        return True

    def serve(self, channel: paramiko.Channel) -> None:
        """Go on with what an exec request started, now that it is answered."""
        if process := self.started.pop(channel.chanid, None):
            threading.Thread(target=self._serve, args=(channel, process), daemon=True).start()

    def _serve(self, channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin and process.stdout and process.stderr
        threading.Thread(target=_feed, args=(channel, process), daemon=True).start()
        pumps = [
            threading.Thread(target=_pump, args=(process.stdout, channel.sendall), daemon=True),
            threading.Thread(target=_pump, args=(process.stderr, channel.sendall_stderr), daemon=True),
        ]
        for pump in pumps:
            pump.start()
        status = process.wait()
        with contextlib.suppress(OSError, EOFError):  # the client or the test has gone
            if status >= 0:
                channel.send_exit_status(status)
            else:
                _send_exit_signal(channel, signal.Signals(-status).name.removeprefix("SIG"))
            for pump in pumps:
                pump.join()
            self.open_sessions -= 1
            channel.close()


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    with contextlib.suppress(OSError, EOFError), process.stdin as stdin:
        while data := channel.recv(32768):
            stdin.write(data)
            stdin.flush()


def _pump(source: Any, send: Any) -> None:
    with contextlib.suppress(OSError, EOFError), source:
        while data := source.read1(32768):
            send(data)


def _send_exit_signal(channel: paramiko.Channel, name: str) -> None:
    """RFC 4254, 6.10; paramiko's server cannot send it."""
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exit-signal")
    message.add_boolean(False)
    message.add_string(name)
    message.add_boolean(False)
    message.add_string("")
    message.add_string("")
    channel.transport._send_user_message(message)  # type: ignore[union-attr]

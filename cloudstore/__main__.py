"""``python -m cloudstore up``: prepare, start everything under one supervisor, and stay until Ctrl-C.

This process does not load Django: it only waits.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from cloudstore.processes import PYTHON, ROOT, configuration, data_directory, runtime_directory

START_SECONDS = 60
NOT_READY = 503
SOURCE = "/var/tmp/golden-25g.raw"  # noqa: S108 on a lab host


def main() -> int:
    options = arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell starts `... &` with SIGINT ignored
        signal.signal(number, stop)
    try:
        return up(options)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cloudstore", description=__doc__)
    parser.add_argument("command", choices=["up"])
    parser.add_argument("--address", default=os.environ.get("CLOUDSTORE_ADDRESS", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("CLOUDSTORE_PORT", "8000")))
    parser.add_argument("--lab", action="store_true", help="bring up three hosts and do the main job on them")
    parser.add_argument("--once", action="store_true", help="do that, then stop everything")
    return parser.parse_args()


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def manage(*words: str, text: str | None = None) -> None:
    """Run a command of manage.py. Raises SystemExit when it fails: it has said why."""
    ended = subprocess.run([PYTHON, str(ROOT / "manage.py"), *words], check=False, cwd=ROOT, input=text, text=True)
    if ended.returncode:
        raise SystemExit(ended.returncode)


def up(options: argparse.Namespace) -> int:
    manage("prepare")
    url = f"http://{options.address}:{options.port}/"
    with contextlib.ExitStack() as stack:
        described = stack.enter_context(lab()) if options.lab else None
        supervisor = stack.enter_context(supervised(options.address, options.port))
        wait_until_up(url, supervisor)
        if described is not None:
            do_the_main_job(url, described, again=options.once)
        if options.once:
            return 0
        announce(url)
        return supervisor.wait()


def do_the_main_job(url: str, described: str, *, again: bool) -> None:
    """Do it on the first start; later ones keep what is there."""
    done = data_directory() / "demo_done"
    if done.exists() and not again:
        print("The lab is up, with what was made on it before.")
        return
    password = (data_directory() / "admin_password").read_text().strip()
    manage("demo", "--url", url, "--password", password, text=described)
    done.touch()


@contextlib.contextmanager
def supervised(address: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the processes; end them all, and wait for that, on the way out."""
    text = configuration(address, port)
    path = runtime_directory(data_directory()) / "supervisord.conf"
    path.write_text(text)
    command = [PYTHON, "-m", "supervisor.supervisord", "-n", "-s", "-c", str(path)]
    # a session of its own, so that Ctrl-C comes to us first and things end in order
    supervisor = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        yield supervisor
    finally:
        supervisor.terminate()
        supervisor.wait()


@contextlib.contextmanager
def lab() -> Iterator[str]:
    """Bring up three hosts; switch them off, keeping their files, on the way out. Yields what ``demo`` reads."""
    from tests.lab.lab import Lab
    from tests.lab.machine import LabError

    try:
        site = Lab(os.environ.get("CLOUDSTORE_LAB", "demo"), subnet=os.environ.get("CLOUDSTORE_LAB_SUBNET"))
        hosts = site.up(3, with_disks=["h1"])
    except LabError as error:
        raise SystemExit(f"The lab does not come up: {error}") from error
    try:
        if site.host("h1").run(["test", "-e", SOURCE]).returncode:
            site.make_image("h1", SOURCE)
        rows = [
            {"name": host.name, "address": str(host.address), "port": host.port, "host_key": host.host_key}
            for host in hosts
        ]
        public = site.key.with_suffix(".pub").read_text()
        yield json.dumps({"hosts": rows, "source": SOURCE, "private_key": site.key.read_text(), "public_key": public})
    finally:
        site.down(keep=True)


def wait_until_up(url: str, supervisor: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while trouble := what_is_missing(url):
        if supervisor.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{url} does not answer ({trouble}). See {data_directory() / 'log'}.")
        time.sleep(0.1)


def what_is_missing(url: str) -> str:
    """Return "" when pages are answered, and have their database and Redis; else what is in the way."""
    try:
        with urllib.request.urlopen(f"{url}readyz", timeout=5) as answer:  # noqa: S310 our own address
            answer.read()
            return ""
    except urllib.error.HTTPError as error:
        if error.code != NOT_READY:
            return str(error)
        checks = json.load(error)["checks"]
    except OSError as error:
        return str(error)
    return ", ".join(name for name in ("database", "redis") if not checks[name]["ok"])


def announce(url: str) -> None:
    password = data_directory() / "admin_password"
    print(f"\ncloudstore is at {url}")
    if password.exists():
        print(f"Sign in as admin with the password {password.read_text().strip()}")
        print(f"(from {shown(password)}; remove the file when you have changed it)")
    print("Ctrl-C stops it all.", flush=True)


def shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())

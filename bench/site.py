"""What a benchmark measures: an installation that runs, and hosts."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datastores.management.visitor import Visitor
from datastores.transport.endpoint import Endpoint
from tests.lab.lab import Lab
from tests.lab.labs import LabOf
from tests.lab.node import Node
from tests.stack import ROOT, Stack, running

LAB = "bench"
"""The name of the lab."""


@dataclass(frozen=True, slots=True)
class Site:
    """A running installation, as a benchmark in a process of its own sees it. ``quick``: small numbers will do."""

    url: str
    data: Path
    quick: bool

    def visitor(self) -> Visitor:
        """Sign in."""
        return Visitor(self.url, "admin", (self.data / "admin_password").read_text().strip())

    @property
    def stack(self) -> Stack:
        """The processes of the installation. They were started by another process than this."""
        return Stack(self.url, self.data, environment(), process=None)  # type: ignore[arg-type]

    def stop_workers(self) -> None:
        """Stop the workers and the schedule, and see them gone."""
        self.stack.supervisor.supervisor.stopProcess("workers")


@contextlib.contextmanager
def installation() -> Iterator[Stack]:
    """Start the product with an empty database, on the disk where ``make run`` keeps its own; remove it afterwards."""
    (ROOT / "var").mkdir(exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "var"))
    try:
        with running(data, CLOUDSTORE_MONITOR_SECONDS="60") as stack:
            yield stack
    finally:
        shutil.rmtree(data)


@contextlib.contextmanager
def hosts(count: int, *, disks: Sequence[str] = ()) -> Iterator[Lab]:
    """Bring up h1, h2 ... of the lab "bench"; what an earlier run that was killed has left goes first."""
    lab = Lab(LAB)
    with lab.taken():
        lab.up(count, with_disks=disks)
        yield lab


def endpoint(lab: LabOf[Any], host: Node) -> Endpoint:
    return Endpoint(host.name, host.address, host_keys=(host.host_key,), private_key=lab.key.read_text())


@contextlib.contextmanager
def kept_ssh(host: Node) -> Iterator[list[str]]:
    """Open a connection of OpenSSH's client that stays (ControlMaster) and yield the ssh command that goes over it."""
    *words, account = host.ssh()
    with tempfile.TemporaryDirectory(prefix="bench-ssh-") as directory:
        shared = ("ControlMaster=auto", f"ControlPath={directory}/%h", "ControlPersist=600")
        ssh = [*words, *(f"-o{option}" for option in shared), account]
        subprocess.run([*ssh, "true"], check=True, timeout=30)
        try:
            yield ssh
        finally:
            subprocess.run([*ssh, "-O", "exit"], check=True, capture_output=True, timeout=30)


def timed(work: Callable[[], object]) -> float:
    """Return how long it took, in seconds."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def median_of(times: int, work: Callable[[], object]) -> float:
    """Return the median of some repetitions, in seconds."""
    return statistics.median(timed(work) for _ in range(times))


def environment() -> dict[str, str]:
    """Return the environment of this installation, for a further process beside this one."""
    return dict(os.environ)

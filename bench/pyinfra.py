"""pyinfra, in an environment of its own: it needs an older paramiko than the product."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.tasks import PYINFRA
from tests.lab.lab import Lab
from tests.stack import ROOT

HOME = ROOT / "var/bench-pyinfra"
PACKAGES = ("pyinfra>=3.10,<4", "paramiko<5")


def program() -> Path:
    """Return the program, installed when it is not there yet."""
    path = HOME / "bin/pyinfra"
    if not path.exists():
        uv = ROOT / ".boot/bin/uv"
        subprocess.run([uv, "venv", "-q", "--clear", "--python", "/usr/bin/python3", HOME], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", HOME / "bin/python", *PACKAGES], check=True)
    return path


class Pyinfra:
    """The role as a deploy of pyinfra, on all hosts of a lab."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.program, self.directory = program(), directory
        common = {
            "ssh_user": "root",
            "ssh_key": str(lab.key),
            "ssh_known_hosts_file": str(lab.site.known_hosts),
            "ssh_strict_host_key_checking": "yes",
        }
        rows = [(host.address, common) for host in lab.hosts()]
        (directory / "inventory.py").write_text(f"hosts = {rows!r}\n")
        (directory / "deploy.py").write_text(PYINFRA)

    def run(self) -> str:
        """Run it and return what it printed.

        :raises RuntimeError: an operation failed; with the end of what it printed.
        """
        done = subprocess.run(
            [self.program, "-y", "inventory.py", "deploy.py"],
            cwd=self.directory, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"pyinfra: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout + done.stderr

    def disconnect(self) -> None:
        """Nothing: it keeps no connection."""

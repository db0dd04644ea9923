"""One host of a lab as tests see it, whether it is made of namespaces or is a virtual machine."""

import contextlib
import shlex
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import LabError, command, wait_until
from tests.lab.switch import Site

FIRST_ADDRESS = 10  # h1 is .11
LAST_HOST = 240


@dataclass(frozen=True)
class Node:
    site: Site
    number: int
    port: int = 22

    @property
    def name(self) -> str:
        return f"h{self.number}"

    @property
    def address(self) -> str:
        return str(self.site.network[FIRST_ADDRESS + self.number])

    @property
    def mac(self) -> str:
        """Always the same one: neighbours remember an address's old card for up to a minute after a power cut."""
        return f"02:4c:{self.site.network[FIRST_ADDRESS + self.number].packed.hex(':')}"

    @property
    def directory(self) -> Path:
        return self.site.directory / "hosts" / self.name

    @property
    def cgroup(self) -> Path:
        return self.site.cgroup / self.name

    @property
    def switch_port(self) -> str:
        return f"p{self.number}"

    @property
    def exists(self) -> bool:
        return (self.directory / "record.json").exists()

    @property
    def is_cut(self) -> bool:
        return (self.directory / "cut").exists()

    # ---- what each kind does in its own way; all but the first two under the lab's lock

    @property
    def host_key(self) -> str:
        """The public key line its sshd proves itself with, as in known_hosts after the name."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start it; it is ready a moment later (wait_ready)."""
        raise NotImplementedError

    def kill(self) -> None:
        """End every process of the host, without waiting for the last of them."""
        raise NotImplementedError

    def stop(self) -> None:
        """End every process of the host, and remove what it had in the kernel."""
        raise NotImplementedError

    def remove(self) -> None:
        """Stop it and remove its files."""
        raise NotImplementedError

    def said(self) -> str:
        """The end of what was said when it was started."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "log").read_text(errors="replace").strip()[-500:]
        return ""

    # ---- what a test does with a host

    def answers(self) -> bool:
        """Whether its sshd gives us its banner, within a second."""
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
        return False

    def ssh(self, *, user: str = "root") -> list[str]:
        """The ssh command that reaches this host and accepts no other."""
        options = {
            "IdentityFile": self.site.key,
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": 10,
            "UserKnownHostsFile": self.site.known_hosts,
            "StrictHostKeyChecking": "yes",
            "LogLevel": "ERROR",
        }
        words = [f"-o{name}={value}" for name, value in options.items()]
        return ["ssh", "-F", "none", *words, f"{user}@{self.address}"]

    def run(
        self, argv: Sequence[str], *, stdin: str = "", check: bool = False, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root over SSH, each word reaching it as it is."""
        return subprocess.run(
            [*self.ssh(), shlex.join(argv)],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=check,
            timeout=seconds,
        )

    def cut(self) -> None:
        """Pull the network cable. It stays out over reboots, until heal()."""
        (self.directory / "cut").touch()
        command("ip", "-n", self.site.switch, "link", "set", self.switch_port, "down", check=self.running)

    def heal(self) -> None:
        (self.directory / "cut").unlink(missing_ok=True)
        command("ip", "-n", self.site.switch, "link", "set", self.switch_port, "up", check=self.running)

    def power_off(self) -> None:
        """Pull the power: everything it runs dies this moment; its files stay."""
        with self.site.locked():
            self.stop()

    def power_on(self) -> None:
        with self.site.locked():
            if not self.running:
                self.start()
        self.wait_ready()

    def wait_ready(self, *, seconds: float = 60) -> None:
        """Wait for the SSH banner; a host without its network cable is not waited for."""
        if self.is_cut:
            return

        def ready() -> bool:
            if not self.running:
                raise LabError(f"{self.name} did not start: {self.said()}")
            return self.answers()

        wait_until(ready, seconds=seconds, otherwise=f"{self.name} gives no SSH banner within {seconds:.0f} s.")


def make_key(path: Path, *, comment: str) -> None:
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)


def hosts_file(site: Site) -> str:
    """Every host knows every other one by name."""
    lines = ["127.0.0.1 localhost", f"{site.controller} controller"]
    lines += [f"{site.network[FIRST_ADDRESS + number]} h{number}" for number in range(1, LAST_HOST + 1)]
    return "\n".join(lines) + "\n"

"""One host of a lab: a Linux with its own systemd, sshd, network and disks, in namespaces of this machine."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.lab import disks, switch
from tests.lab.machine import LabError, command, directory, kill_cgroup, loops_below, prepare_kernel, wait_until
from tests.lab.switch import NETNS, Site

SUPERVISOR = Path(__file__).with_name("host.sh")
FIRST_ADDRESS = 10  # h1 is .11
LAST_HOST = 240


@dataclass(frozen=True)
class Record:
    """What a host is made of; kept while it is off, so that it comes back the same."""

    suite: str
    base: str
    packages: str = ""
    """The set of packages.py it has; "" for none."""
    disks: bool = False
    binds: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
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
    def directory(self) -> Path:
        return self.site.directory / "hosts" / self.name

    @property
    def netns(self) -> str:
        return f"{self.site.prefix}-{self.name}"

    @property
    def cgroup(self) -> Path:
        return self.site.cgroup / self.name

    @property
    def switch_port(self) -> str:
        return f"p{self.number}"

    @property
    def host_key(self) -> str:
        """The public key line its sshd proves itself with, as in known_hosts after the name."""
        line = (self.directory / "upper/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        return " ".join(line.split()[:2])

    @property
    def record(self) -> Record:
        return Record(**json.loads((self.directory / "record.json").read_text()))

    def save(self, record: Record) -> None:
        part = self.directory / "record.part"
        part.write_text(json.dumps(asdict(record)))
        part.rename(self.directory / "record.json")

    @property
    def exists(self) -> bool:
        return (self.directory / "record.json").exists()

    @property
    def supervisor(self) -> int | None:
        """The process that keeps the host running; None when the host is off or its supervisor was killed."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.directory / "pid").read_text())
            if os.fsencode(self.directory) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return None

    @property
    def running(self) -> bool:
        return self.supervisor is not None

    @property
    def is_cut(self) -> bool:
        return (self.directory / "cut").exists()

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

    # ---- how the lab makes, starts and ends it; under the lab's lock

    def make(self, record: Record) -> None:
        """Give the host its identity: name, machine id, SSH host key, who may log in."""
        shutil.rmtree(self.directory, ignore_errors=True)
        for name in ("work", "root", "disks", "upper/etc/ssh"):
            directory(self.directory / name)
        upper = self.directory / "upper"
        directory(upper / "root", mode=0o700)
        directory(upper / "root/.ssh", mode=0o700)
        for part in (upper, upper / "etc"):
            directory(part)
        (upper / "etc/hostname").write_text(f"{self.name}\n")
        (upper / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (upper / "etc/hosts").write_text(_hosts_file(self.site))
        (upper / "root/.ssh/authorized_keys").write_text(self.site.key.with_suffix(".pub").read_text())
        for name in ("etc/hostname", "etc/machine-id", "etc/hosts", "root/.ssh/authorized_keys"):
            (upper / name).chmod(0o644)
        make_key(upper / "etc/ssh/ssh_host_ed25519_key", comment=self.name)
        self.save(record)

    def start(self) -> None:
        """Start the supervisor; the host is ready a moment later (wait_ready)."""
        prepare_kernel()
        if not switch.whole(self.site):
            switch.make(self.site)
        self.clear()
        self._write_settings()
        with (self.directory / "log").open("w") as log:
            subprocess.run(
                ["setsid", "--fork", "/bin/sh", SUPERVISOR, self.directory],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                cwd="/",
            )
        wait_until(lambda: self.running or self._said() != "", seconds=10, otherwise=f"{self.name} does not start.")

    def stop(self) -> None:
        self.kill()
        self.clear()

    def kill(self) -> None:
        """End the supervisor and every process of the host, without waiting for the last of them."""
        if pid := self.supervisor:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):  # it is gone, or goes at this moment
            (self.cgroup / "cgroup.kill").write_text("1")

    def clear(self) -> None:
        """Remove what the host had in the kernel: processes, cgroup, network namespace, loop devices."""
        wait_until(lambda: not self.running, seconds=10, otherwise=f"The supervisor of {self.name} does not end.")
        kill_cgroup(self.cgroup)
        if (NETNS / self.netns).exists():
            command("ip", "-n", self.site.switch, "link", "del", self.switch_port, check=False)
            command("ip", "netns", "del", self.netns)
        images = self.directory / "disks"
        with contextlib.suppress(LabError):
            wait_until(lambda: not loops_below(images), seconds=5, otherwise="busy")
        for loop in loops_below(images):
            command("losetup", "--detach", loop)
        (self.directory / "pid").unlink(missing_ok=True)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def wait_ready(self, *, seconds: float = 60) -> None:
        """Wait for the SSH banner; a host without its network cable is not waited for."""
        if self.is_cut:
            return

        def ready() -> bool:
            if not self.running:
                raise LabError(f"{self.name} did not start: {self._said()}")
            return self.answers()

        wait_until(ready, seconds=seconds, otherwise=f"{self.name} gives no SSH banner within {seconds:.0f} s.")

    def _said(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "log").read_text().strip()[-500:]
        return ""

    def _write_settings(self) -> None:
        """What host.sh and host-init.sh read: shell variables, and a table of mounts."""
        record = self.record
        if not Path(record.base).exists():
            raise LabError(f"{self.name} stands on {record.base}, which is gone: take it down and up again.")
        address = self.site.network[FIRST_ADDRESS + self.number]
        settings = {
            "NAME": self.name,
            "NETNS": self.netns,
            "SWITCH": self.site.switch,
            "PORT": self.switch_port,
            "ADDRESS": f"{address}/{self.site.network.prefixlen}",
            # Always the same one: neighbours remember an address's old card for up to a minute after a power cut.
            "MAC": f"02:4c:{address.packed.hex(':')}",
            "CGROUP": self.cgroup,
            "BASE": record.base,
        }
        lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()]
        (self.directory / "settings").write_text("".join(lines))
        mounts = [("bind", source, target) for source, target in record.binds.items()]
        if record.disks:
            mounts += disks.mounts(self.directory / "disks")
        (self.directory / "mounts").write_text("".join("\t".join(mount) + "\n" for mount in mounts))


def make_key(path: Path, *, comment: str) -> None:
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)


def _hosts_file(site: Site) -> str:
    """Every host knows every other one by name."""
    lines = ["127.0.0.1 localhost", f"{site.controller} controller"]
    lines += [f"{Host(site, number).address} h{number}" for number in range(1, LAST_HOST + 1)]
    return "\n".join(lines) + "\n"

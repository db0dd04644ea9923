"""One host of a lab: a Linux with its own systemd, sshd, network and disks, in namespaces of this machine."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.lab import disks, switch
from tests.lab.machine import LabError, command, directory, kill_cgroup, loops_below, prepare_kernel, wait_until
from tests.lab.node import Node, hosts_file, make_key
from tests.lab.switch import NETNS

SUPERVISOR = Path(__file__).with_name("host.sh")


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
class Host(Node):
    @property
    def netns(self) -> str:
        return f"{self.site.prefix}-{self.name}"

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
        (upper / "etc/hosts").write_text(hosts_file(self.site))
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
        wait_until(lambda: self.running or self.said() != "", seconds=10, otherwise=f"{self.name} does not start.")

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

    def _write_settings(self) -> None:
        """What host.sh and host-init.sh read: shell variables, and a table of mounts."""
        record = self.record
        if not Path(record.base).exists():
            raise LabError(f"{self.name} stands on {record.base}, which is gone: take it down and up again.")
        settings = {
            "NAME": self.name,
            "NETNS": self.netns,
            "SWITCH": self.site.switch,
            "PORT": self.switch_port,
            "ADDRESS": f"{self.address}/{self.site.network.prefixlen}",
            "MAC": self.mac,
            "CGROUP": self.cgroup,
            "BASE": record.base,
        }
        lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()]
        (self.directory / "settings").write_text("".join(lines))
        mounts = [("bind", source, target) for source, target in record.binds.items()]
        if record.disks:
            mounts += disks.mounts(self.directory / "disks")
        (self.directory / "mounts").write_text("".join("\t".join(mount) + "\n" for mount in mounts))

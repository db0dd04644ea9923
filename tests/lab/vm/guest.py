"""One virtual machine of a lab: a process of qemu, its disks, and the state to which it goes back."""

import contextlib
import json
import shutil
import subprocess
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab import switch
from tests.lab.machine import LabError, command, directory, kill_cgroup, wait_until
from tests.lab.node import Node, hosts_file, make_key
from tests.lab.vm import image, monitor

PORT = Path(__file__).with_name("port.sh")
SAVED = "ready"
"""What the saved state is called within the disks."""
STARTED: dict[Path, "subprocess.Popen[bytes]"] = {}
"""The processes of qemu that this process started, by the directory of their host."""

JOIN = 'echo 0 > "$0/cgroup.procs" && exec "$@"'
# The kernel measures how fast the processor's own clock (TSC) runs while it boots: on a busy machine it would measure
# wrongly, and all deadlines in there would be over too soon. The HPET needs no measuring. What systemd gives up after
# one or three minutes may only be slow there.
BOOT = (
    "console=ttyS0 quiet net.ifnames=0 mitigations=off nowatchdog clocksource=hpet"
    " systemd.default_timeout_start_sec=600 systemd.service_watchdogs=0"
)


@dataclass(frozen=True)
class Record:
    """What a machine is made of. `memory` in MiB, `disks` in GiB each; `bound`: it ends with who started it."""

    base: str
    memory: int = 768
    disks: tuple[int, ...] = (4, 4, 4)
    bound: bool = False


@dataclass(frozen=True)
class Guest(Node):
    @property
    def host_key(self) -> str:
        line = (self.directory / "ram/identity/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        return " ".join(line.split()[:2])

    @property
    def record(self) -> Record:
        values = json.loads((self.directory / "record.json").read_text())
        return Record(**{**values, "disks": tuple(values["disks"])})

    @property
    def running(self) -> bool:
        with contextlib.suppress(OSError):
            return "populated 1" in (self.cgroup / "cgroup.events").read_text()
        return False

    # ---- what a test does with a machine

    def ssh(self, *, user: str = "root") -> list[str]:
        """As of any host, over a connection that stays: making one takes an emulated processor about a second."""
        stays = {"ControlMaster": "auto", "ControlPersist": 120, "ControlPath": self.directory / f"ssh-{user}"}
        program, *words = super().ssh(user=user)
        return [program, *(f"-o{name}={value}" for name, value in stays.items()), *words]

    def _hang_up(self) -> None:
        """End the connections that stayed: what they lead to has ended, or is about to."""
        for path in self.directory.glob("ssh-*"):
            command("ssh", "-F", "none", "-O", "exit", "-S", path, self.name, check=False)

    def reboot(self, *, seconds: float = 240) -> None:
        """Reboot it as an administrator does, and wait until it lets people in again."""
        before = self._boot()
        self.run(["systemctl", "reboot"])
        wait_until(
            lambda: self._boot() not in ("", before),
            seconds=seconds,
            otherwise=f"{self.name} did not come back within {seconds:.0f} s.",
        )

    def _boot(self) -> str:
        """Which boot this is; empty while nobody can log in."""
        self._hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.run(["cat", "/proc/sys/kernel/random/boot_id"], seconds=15).stdout
        return ""

    # ---- how the lab makes, starts and ends it; under the lab's lock

    def make(self, record: Record) -> None:
        """Give it an identity (name, machine id, SSH host key, who may log in) and empty disks."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self._make_identity()
        image.archive(self.directory / "ram", self.directory / "initrd")
        with (self.directory / "initrd").open("ab") as whole:
            whole.write((Path(record.base) / "initrd").read_bytes())
        make = ("qemu-img", "create", "-q", "-f", "qcow2")
        command(*make, "-b", Path(record.base) / "base.raw", "-F", "raw", self.directory / "0.qcow2")
        for number, size in enumerate(record.disks, start=1):
            command(*make, self.directory / f"{number}.qcow2", f"{size}G")
        (self.directory / "record.json").write_text(json.dumps(asdict(record)))

    def start(self, *, saved: bool = False) -> None:
        """Start it from its disks or, with `saved`, from its saved state, to which its disks go back, too."""
        if not Path(self.record.base).exists():
            raise LabError(f"{self.name} stands on {self.record.base}, which is gone: take it down and up again.")
        self.stop()
        directory(self.cgroup)
        join = ["sh", "-c", JOIN, self.cgroup, "nsenter", f"--net={switch.NETNS / self.site.switch}"]
        dying = ["setpriv", "--pdeathsig=KILL"] if self.record.bound else []
        words = [*join, "nice", *dying, *self._qemu(), *(["-loadvm", SAVED] if saved else [])]
        with (self.directory / "log").open("w") as log:
            process = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )
        STARTED[self.directory] = process
        wait_until(
            lambda: self._monitor.exists() or process.poll() is not None,
            seconds=20,
            otherwise=f"{self.name} does not start.",
        )

    def save(self) -> None:
        """Keep what it is at this moment, memory and disks, for start(saved=True)."""
        if printed := monitor.told(self._monitor, f"savevm {SAVED}").strip():
            raise LabError(f"{self.name} was not saved: {printed}")

    def set_clock(self) -> None:
        """Tell it what time it is: where it was saved, its clock stood still."""
        self.run(["date", "-s", f"@{time.time():.3f}"], check=True)

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # it is gone, or goes at this moment
            (self.cgroup / "cgroup.kill").write_text("1")

    def stop(self) -> None:
        self._hang_up()
        self.kill()
        kill_cgroup(self.cgroup)
        if process := STARTED.pop(self.directory, None):
            process.wait(10)
        self._monitor.unlink(missing_ok=True)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _monitor(self) -> Path:
        return self.directory / "monitor"

    def _make_identity(self) -> None:
        root = self.directory / "ram/identity"
        files = {
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": hosts_file(self.site),
            "etc/machine-id": f"{uuid.uuid4().hex}\n",
            "etc/lab-network": f"ADDRESS={self.address}/{self.site.network.prefixlen}\n",
            "etc/iscsi/initiatorname.iscsi": f"InitiatorName=iqn.2026-01.lab.example:{self.name}\n",
            "root/.ssh/authorized_keys": self.site.key.with_suffix(".pub").read_text(),
        }
        for name, text in files.items():
            directory((root / name).parent)
            (root / name).write_text(text)
            (root / name).chmod(0o644)
        for name in ("root", "root/.ssh"):
            (root / name).chmod(0o700)
        make_key(directory(root / "etc/ssh") / "ssh_host_ed25519_key", comment=self.name)

    def _qemu(self) -> list[str | Path]:
        """The command. Nothing but virtio, so that little is emulated; the random numbers are those of this machine."""
        record = self.record
        words: list[str | Path] = ["qemu-system-x86_64", "-name", f"{self.site.prefix}-{self.name}"]
        words += ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-M", "pc", "-m", str(record.memory)]
        words += ["-display", "none", "-nodefaults", "-no-user-config", "-serial", "file:console"]
        words += ["-qmp", "unix:monitor,server=on,wait=off"]
        words += ["-kernel", Path(record.base) / "vmlinuz", "-initrd", "initrd", "-append", BOOT]
        words += ["-object", "rng-random,id=random,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=random"]
        words += ["-netdev", f"tap,id=cable,ifname={self.switch_port},script={PORT},downscript=no"]
        words += ["-device", f"virtio-net-pci,netdev=cable,mac={self.mac},romfile="]
        for number in range(1 + len(record.disks)):
            words += ["-drive", f"if=none,id=disk{number},file={number}.qcow2,cache=unsafe,discard=unmap"]
            words += ["-device", f"virtio-blk-pci,drive=disk{number},serial={self.name}-{number}"]
        return words

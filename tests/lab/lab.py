"""The lab: real Linux hosts on this machine, each with its own systemd, sshd, address and files, in half a second.

    python3 tests/lab/lab.py up 3 --disks h1      three hosts, h1 with disks to keep images on
    python3 tests/lab/lab.py up 3 --packages storage   with a set of packages.py, its daemons off
    python3 tests/lab/lab.py ssh h1 uptime
    python3 tests/lab/lab.py cut h2               pull a network cable; `heal` puts it back
    python3 tests/lab/lab.py power-off h3         pull the power; `power-on` brings it back with its files
    python3 tests/lab/lab.py down                 leaves nothing behind

Root on Linux. A host is a set of namespaces on a shared read-only Debian (rootfs.py): quick and honest for all that
happens above the kernel, which it shares with this machine. Log in as root with the lab's key, as `ops` / `ops-pass`
(may do nothing) or as `admin1` / `admin-pass` (passwordless sudo). Labs of different names live side by side.

Because the kernel is shared, a host can load no modules, sees all loop devices of this machine, and may not write to
/proc/sys, except for its own network. All state is in CLOUDSTORE_LAB_DIR (~/.cache/cloudstore-lab); packages come from
where this machine's apt gets its own, or from CLOUDSTORE_LAB_MIRROR.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

if not __package__:  # called by its path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.lab import disks, rootfs
from tests.lab.disks import GIB, MIB
from tests.lab.host import Host, Record
from tests.lab.labs import LabOf
from tests.lab.machine import LabError, prepare_kernel
from tests.lab.networks import NAMESPACES


class Lab(LabOf[Host]):
    """Hosts of namespaces."""

    kind, networks, node = "lab", NAMESPACES, Host

    def __init__(self, name: str = "lab", *, subnet: str | None = None) -> None:
        super().__init__(name, subnet=subnet)

    def up(
        self,
        count: int,
        *,
        first: int = 1,
        suite: str | None = None,
        packages: str | None = None,
        binds: Mapping[str, str] | None = None,
        with_disks: Iterable[str] = (),
    ) -> list[Host]:
        """Bring up `count` hosts from h<first> on and wait for their sshd; one that runs is left alone.

        `packages` names a set of packages.py, whose daemons are there and off. `binds` maps directories of this machine
        to where the hosts see them; `with_disks` names hosts for add_disks.
        """
        hosts = self._named(count, first)
        prepare_kernel()
        new = Record(suite or "bookworm", str(rootfs.build(suite or "bookworm", packages or "")), packages or "")
        with self.site.locked(), self._undone_on_failure() as fresh:
            self._prepare()
            for host in hosts:
                if host.exists:
                    _check_kind(host, suite=suite, packages=packages)
                if not host.running:
                    fresh.append((host, host.exists))
                    self._start(host, new, binds=binds, fitted=host.name in set(with_disks))
            self._write_known_hosts()
            for host in hosts:
                host.wait_ready(seconds=60 + len(hosts))
        for host in hosts:  # one that ran already
            if host.name in set(with_disks):
                self.add_disks(host.name)
        return hosts

    def add_disks(self, name: str) -> Host:
        """Give a host the disks of disks.py; one that runs is switched off and on for it."""
        host = self.host(name)
        if host.record.disks:
            return host
        ran = host.running
        if ran:
            host.power_off()
        with self.site.locked():
            disks.make(host.directory / "disks", base=host.record.base)
            host.save(replace(host.record, disks=True))
        if ran:
            host.power_on()
        return host

    def make_image(self, name: str, path: str, *, virtual: int = 25 * GIB, data: int = 800 * MIB) -> None:
        """Write a sparse disk image in a host: `data` random bytes in 200 chunks spread over `virtual`."""
        done = self.host(name).run(disks.image_script(path, virtual=virtual, data=data), seconds=300)
        if done.returncode:
            raise LabError(f"{path} in {name}: {done.stderr.strip().splitlines()[-1]}")

    def _start(self, host: Host, new: Record, *, binds: Mapping[str, str] | None, fitted: bool) -> None:
        host.stop()  # what a killed supervisor left
        if not host.exists:
            host.make(new)
        record = host.record
        if fitted:
            disks.make(host.directory / "disks", base=record.base)
        host.save(replace(record, disks=record.disks or fitted, binds=record.binds if binds is None else dict(binds)))
        host.start()


def _check_kind(host: Host, **wanted: str | None) -> None:
    """A host stays what it was made as, in these words of its record."""
    for word, value in wanted.items():
        present = getattr(host.record, word)
        if value and present != value:
            raise LabError(f"{host.name} is {present or 'base'}: take it down first to make it {value}.")


if __name__ == "__main__":
    from tests.lab.cli import main

    sys.exit(main())

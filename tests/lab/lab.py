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

import contextlib
import ipaddress
import json
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

if not __package__:  # called by its path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.lab import disks, rootfs, switch
from tests.lab.disks import GIB, MIB
from tests.lab.host import LAST_HOST, Host, Record, make_key
from tests.lab.machine import LabError, command, directory, locked, prepare_kernel, state_directory
from tests.lab.switch import Site

SUBNETS = {"demo": "10.77.0.0/24", "test": "10.77.1.0/24", "bench": "10.77.2.0/24", "lab": "10.77.3.0/24"}
RANGE = ipaddress.IPv4Network("10.77.0.0/16")
"""Where a lab gets its network from when nobody says which."""
KEPT_FREE = ("10.77.5.0/24", "10.77.8.0/24", "10.77.9.0/24", "10.77.12.0/24")
"""What tests and the documentation's screenshots name."""


class Lab:
    """The hosts h1, h2... of one name, on one network with the controller (this machine)."""

    def __init__(self, name: str = "lab", *, subnet: str | None = None) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,9}", name):  # it is part of an interface's name
            raise LabError(f"{name!r}: a lab's name is at most ten lower-case letters and digits.")
        self.site = Site(name, _subnet(name, subnet))

    @property
    def key(self) -> Path:
        """The private key that may log in as root on every host."""
        return self.site.key

    @property
    def controller(self) -> str:
        """The address at which the hosts reach this machine."""
        return str(self.site.controller)

    def host(self, name: str) -> Host:
        if not re.fullmatch(r"h[1-9][0-9]{0,2}", name) or int(name[1:]) > LAST_HOST:
            raise LabError(f"{name!r}: the hosts are h1 to h{LAST_HOST}.")
        host = Host(self.site, int(name[1:]))
        if not host.exists:
            raise LabError(f"There is no {name} in lab {self.site.name}.")
        return host

    def hosts(self) -> list[Host]:
        """All hosts there are, running or not."""
        return [host for host in self._traces() if host.exists]

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
        if count < 1 or first < 1 or first + count - 1 > LAST_HOST:
            raise LabError(f"The hosts are h1 to h{LAST_HOST}.")
        hosts = [Host(self.site, number) for number in range(first, first + count)]
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

    def down(self, names: Iterable[str] = (), *, keep: bool = False) -> None:
        """End hosts (all, when none is named) and remove what they had; `keep` keeps their files for the next up."""
        with self.site.locked():
            hosts = [self.host(name) for name in names] or self._traces()
            for host in hosts:  # all at once, then wait for each
                host.kill()
            for host in hosts:
                host.stop() if keep else host.remove()
            self._remove_what_no_host_needs()

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

    # ---- inside

    def _traces(self) -> list[Host]:
        """Hosts of which there is anything: files, or what a lab whose files were lost left in the kernel."""
        paths = [*self.site.directory.glob("hosts/h*"), *self.site.cgroup.glob("h*")]
        paths += switch.NETNS.glob(f"{self.site.prefix}-h*")
        numbers = {int(path.name.rpartition("h")[2]) for path in paths}
        return [Host(self.site, number) for number in sorted(numbers)]

    def _prepare(self) -> None:
        """Everything the hosts have in common: the key, the directory, the switch."""
        with locked(state_directory() / "locks/key", seconds=30):
            if not self.key.exists():
                make_key(self.key, comment="lab")
        directory(self.site.directory)
        (self.site.directory / "subnet").write_text(f"{self.site.network}\n")
        if not switch.whole(self.site):
            for host in self.hosts():  # what still runs has lost its network for good
                host.stop()
            switch.make(self.site)

    def _start(self, host: Host, new: Record, *, binds: Mapping[str, str] | None, fitted: bool) -> None:
        host.stop()  # what a killed supervisor left
        if not host.exists:
            host.make(new)
        record = host.record
        if fitted:
            disks.make(host.directory / "disks", base=record.base)
        host.save(replace(record, disks=record.disks or fitted, binds=record.binds if binds is None else dict(binds)))
        host.start()

    @contextlib.contextmanager
    def _undone_on_failure(self) -> Iterator[list[tuple[Host, bool]]]:
        """Hosts that are put in the list are taken back, unless all goes well: also on Ctrl-C."""
        fresh: list[tuple[Host, bool]] = []
        try:
            yield fresh
        except BaseException:
            for host, existed in fresh:
                host.stop() if existed else host.remove()
            self._remove_what_no_host_needs()
            raise

    def _write_known_hosts(self) -> None:
        lines = [f"{host.name},{host.address} {host.host_key}\n" for host in self.hosts()]
        self.site.known_hosts.write_text("".join(lines))

    def _remove_what_no_host_needs(self) -> None:
        if not any(host.running for host in self.hosts()):
            switch.remove(self.site)
            with contextlib.suppress(FileNotFoundError):
                self.site.cgroup.rmdir()
        if not self.hosts():
            shutil.rmtree(self.site.directory, ignore_errors=True)


def _check_kind(host: Host, **wanted: str | None) -> None:
    """A host stays what it was made as, in these words of its record."""
    for word, value in wanted.items():
        present = getattr(host.record, word)
        if value and present != value:
            raise LabError(f"{host.name} is {present or 'base'}: take it down first to make it {value}.")


def _subnet(name: str, wanted: str | None) -> ipaddress.IPv4Network:
    """The network of a lab: the one it was made with, or the wanted one, or its name's fixed one, or a free one."""
    chosen = _network(wanted) if wanted else None
    with contextlib.suppress(FileNotFoundError):
        present = _network((state_directory() / "labs" / name / "subnet").read_text().strip())
        if chosen not in (None, present):
            raise LabError(f"Lab {name} has {present}; take it down to give it {chosen}.")
        return present
    if chosen:
        return chosen
    return _network(SUBNETS[name]) if name in SUBNETS else _free_network()


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise LabError(f"{text!r} is not a lab's network: that is a /24, such as 10.77.20.0/24 ({error}).") from error
    if network.prefixlen != 24:
        raise LabError(f"{text}: a lab's network is a /24, such as 10.77.20.0/24.")
    return network


def _free_network() -> ipaddress.IPv4Network:
    """The first network that no name is bound to, no other lab has, and this machine has no way into."""
    others = [path.read_text().strip() for path in state_directory().glob("labs/*/subnet")]
    routes = json.loads(command("ip", "-json", "-4", "route", "show", "root", str(RANGE)) or "[]")
    texts = [*SUBNETS.values(), *KEPT_FREE, *others, *(route["dst"] for route in routes)]
    taken = [ipaddress.IPv4Network(text) for text in texts]
    for network in RANGE.subnets(new_prefix=24):
        if not any(network.overlaps(other) for other in taken):
            return network
    raise LabError(f"No /24 of {RANGE} is free: give the lab a --subnet of your own.")


if __name__ == "__main__":
    from tests.lab.cli import main

    sys.exit(main())

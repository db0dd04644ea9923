"""A lab's names, paths and network: one bridge in a namespace of its own, with a port for us on this machine."""

import contextlib
import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import LabError, cgroup_root, command, locked, state_directory

NETNS = Path("/run/netns")
INTERFACES = Path("/sys/class/net")


def directory_of(kind: str, name: str) -> Path:
    """Where the lab of this name keeps all it has."""
    return state_directory() / f"{kind}s" / name


@dataclass(frozen=True)
class Site:
    """One of the labs on this machine. Its kind and name are in the name of everything it makes."""

    name: str
    network: ipaddress.IPv4Network
    kind: str = "lab"

    @property
    def prefix(self) -> str:
        return f"{self.kind}-{self.name}"

    @property
    def directory(self) -> Path:
        return directory_of(self.kind, self.name)

    @property
    def cgroup(self) -> Path:
        return cgroup_root() / self.prefix

    @property
    def key(self) -> Path:
        """The private key that may log in as root on every host."""
        return state_directory() / "id_lab"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def switch(self) -> str:
        return f"{self.prefix}-sw"

    @property
    def interface(self) -> str:
        """The controller's own port: an interface of this machine."""
        return f"{self.prefix}0"

    @property
    def controller(self) -> ipaddress.IPv4Address:
        return self.network[1]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with locked(state_directory() / "locks" / self.prefix, seconds=300):
            yield


def whole(site: Site) -> bool:
    return (NETNS / site.switch).exists() and (INTERFACES / site.interface).exists()


def make(site: Site) -> None:
    """Build the switch anew; what is left of an older one goes first."""
    remove(site)
    _refuse_foreign_network(site)
    command("ip", "netns", "add", site.switch)
    command("ip", "-n", site.switch, "-batch", "-", stdin="link set lo up\nlink add br0 type bridge\nlink set br0 up\n")
    command("ip", "link", "add", site.interface, "type", "veth", "peer", "name", "controller", "netns", site.switch)
    command("ip", "-n", site.switch, "link", "set", "controller", "master", "br0", "up")
    command("ip", "addr", "add", f"{site.controller}/{site.network.prefixlen}", "dev", site.interface)
    command("ip", "link", "set", site.interface, "up")


def remove(site: Site) -> None:
    if (INTERFACES / site.interface).exists():
        # the kernel may take it away at this moment, with the namespace of its other end
        command("ip", "link", "del", site.interface, check=False)
    if (NETNS / site.switch).exists():
        command("ip", "netns", "del", site.switch)


def _refuse_foreign_network(site: Site) -> None:
    """A second lab, or this machine's own network, on the same addresses would get our packets."""
    for route in json.loads(command("ip", "-json", "-4", "route", "show", "root", str(site.network)) or "[]"):
        where = route.get("dev", "this machine")
        raise LabError(f"{site.network} is in use on {where}: give the lab another --subnet.")

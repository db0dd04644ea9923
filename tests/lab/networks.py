"""Which network a lab gets: a /24 that nothing else on this machine has."""

import contextlib
import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path

from tests.lab.machine import LabError, command, state_directory

NAMESPACES = {
    "demo": "10.77.0.0/24", "test": "10.77.1.0/24", "bench": "10.77.2.0/24", "lab": "10.77.3.0/24",
    "testst": "10.77.101.0/24", "testce": "10.77.102.0/24",
    "test1": "10.77.103.0/24", "test1st": "10.77.104.0/24", "test1ce": "10.77.105.0/24",
    "test2": "10.77.106.0/24", "test2st": "10.77.107.0/24", "test2ce": "10.77.108.0/24",
}  # fmt: skip
MACHINES = {"vm": "10.77.16.0/24"}
"""The networks of the labs that have a name of their own: of namespaces, and of virtual machines."""
KEPT_FREE = ("10.77.5.0/24", "10.77.8.0/24", "10.77.9.0/24", "10.77.12.0/24")
"""What tests and the documentation's screenshots name."""
RANGE = ipaddress.IPv4Network("10.77.0.0/16")
"""Where a lab gets its network from when nobody says which."""


def network_of(directory: Path, wanted: str | None, named: Mapping[str, str]) -> ipaddress.IPv4Network:
    """The network of the lab in a directory: the one it was made with, or the wanted one, or its name's, or a free
    one."""
    chosen = _network(wanted) if wanted else None
    with contextlib.suppress(FileNotFoundError):
        present = _network((directory / "subnet").read_text().strip())
        if chosen not in (None, present):
            raise LabError(f"Lab {directory.name} has {present}; take it down to give it {chosen}.")
        return present
    if chosen:
        return chosen
    return _network(named[directory.name]) if directory.name in named else _free_network()


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
    others = [path.read_text().strip() for path in state_directory().glob("*/*/subnet")]
    routes = json.loads(command("ip", "-json", "-4", "route", "show", "root", str(RANGE)) or "[]")
    bound = [*NAMESPACES.values(), *MACHINES.values(), *KEPT_FREE]
    taken = [ipaddress.IPv4Network(text) for text in (*bound, *others, *(route["dst"] for route in routes))]
    for network in RANGE.subnets(new_prefix=24):
        if not any(network.overlaps(other) for other in taken):
            return network
    raise LabError(f"No /24 of {RANGE} is free: give the lab a --subnet of your own.")

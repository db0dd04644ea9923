"""Which lists of who may mount let in one and the same host."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from itertools import product

Box = tuple[tuple[int, int], ...]
"""The first and the last value of each octet: 4 of an IPv4 address, 16 of an IPv6 one."""
ANY = (0, 255)


def first_shared(some: Iterable[str], others: Iterable[str]) -> tuple[str, str] | None:
    """Return the first entries of two lists (addresses, networks, patterns) that stand for one address, or None."""
    return next((pair for pair in product(some, tuple(others)) if share(*pair)), None)


def share(one: str, other: str) -> bool:
    """Tell whether there is an address that both entries stand for."""
    return any(
        len(mine) == len(theirs) and all(max(a[0], b[0]) <= min(a[1], b[1]) for a, b in zip(mine, theirs, strict=True))
        for mine, theirs in product(_boxes(one), _boxes(other))
    )


def _boxes(entry: str) -> list[Box]:
    """Return what an entry stands for. GlusterFS matches patterns as text, so that a * may stand for several octets."""
    if "/" in entry or ":" in entry:
        network = ip_network(entry)
        return [tuple(zip(network[0].packed, network[-1].packed, strict=True))]
    parts = entry.split(".")
    spare = 4 - len(parts)
    widths = product(*(range(1, spare + 2) if part == "*" else (1,) for part in parts))
    found = [
        tuple(octet for part, width in zip(parts, each, strict=True) for octet in [_octet(part)] * width)
        for each in widths
        if sum(each) == 4
    ]
    return [*found, (ANY,) * 16] if entry == "*" else found


def _octet(part: str) -> tuple[int, int]:
    return ANY if part == "*" else (int(part), int(part))

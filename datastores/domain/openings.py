"""What a firewall between hosts has to let through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NFS = "2049"
"""RFC 7530, section 3.1: NFSv4 needs this port alone."""
GLUSTER = "24007, 49152-60999"
"""The daemon, and a port for each brick (base-port and max-port in glusterd.vol)."""
SSH = "22"
CEPH_MONITORS = "3300, 6789"
CEPH_DAEMONS = "6800-7568"
"""Ceph's documentation, Network Configuration Reference: monitors by msgr2 and msgr1; OSDs, MDS and managers."""


@dataclass(frozen=True, slots=True)
class Opening:
    """TCP connections from ``sources`` to ``targets``, both by name or address, at ``ports``."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    ports: str
    protocol: str

    def __str__(self) -> str:
        return f"{_and(self.sources)} to {_and(self.targets)}: TCP {self.ports} ({self.protocol})"


def opening(sources: Sequence[str], targets: Sequence[str], ports: str, protocol: str) -> tuple[Opening, ...]:
    """Return what is to be opened; nothing, when there is nobody but a host itself."""
    if not sources or not targets or tuple(sources) == tuple(targets) == (sources[0],):
        return ()
    return (Opening(tuple(sources), tuple(targets), ports, protocol),)


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

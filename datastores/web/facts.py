"""What is known of a host, for its page."""

from __future__ import annotations

from pathlib import PurePosixPath

from datastores.domain.alert_rules import CLOCK
from datastores.hosts.facts import HostFacts
from datastores.hosts.software import Rights
from datastores.models import Host

SKEW = CLOCK.limit
"""Seconds; more makes certificates, leases and logs disagree."""


def known(host: Host) -> HostFacts | None:
    """Return the facts as they were read last; None: never, or by another version of cloudstore."""
    try:
        return HostFacts.from_json(host.facts) if host.facts else None
    except (TypeError, KeyError, ValueError):
        return None


def mount_points(host: Host) -> tuple[str, ...]:
    """Return where the file systems of the host were mounted when it was read last."""
    facts = known(host)
    return tuple(each.target for each in facts.file_systems) if facts else ()


def mount_point(path: str, targets: tuple[str, ...]) -> str:
    """Return which of the mount points the path is below; "": of none."""
    return max((each for each in targets if PurePosixPath(path).is_relative_to(each)), key=len, default="")


def warnings(host: Host, facts: HostFacts | None) -> list[str]:
    """Return what an operator should know before using the host, in sentences."""
    found = []
    if host.clock_skew is not None and abs(host.clock_skew) > SKEW:
        ahead = "ahead of" if host.clock_skew > 0 else "behind"
        found.append(f"Its clock is {abs(host.clock_skew):.1f} s {ahead} ours. Set up NTP there.")
    if facts is None:
        return found
    if facts.rights in {Rights.NONE, Rights.NO_SUDO}:
        why = f"{host.account} cannot become root there ({facts.rights})"
        found.append(f"{why}: nothing can be changed. Install the sudoers file below.")
    found += [
        f"The RAID {array.name} is degraded. Replace the failed disk." for array in facts.arrays if array.degraded
    ]
    found += [
        f"The RAID {array.name} has no hot spare." for array in facts.arrays
        if not array.spares and array.level not in {"raid0", "linear"}
    ]  # fmt: skip
    return found + list(facts.problems)

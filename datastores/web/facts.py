"""What is known of a host, for its page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

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


def mount_points(hosts: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Return where the file systems of the hosts were mounted when they were read last, by the key of each host."""
    found = Host.objects.filter(pk__in=hosts).order_by().values_list("pk", "facts__file_systems")
    return {pk: tuple(_targets(systems)) for pk, systems in found}


def _targets(systems: Any) -> Iterator[str]:
    for each in systems if isinstance(systems, list) else ():  # another version of cloudstore may have read them
        if isinstance(each, dict) and isinstance(each.get("target"), str):
            yield each["target"]


def mount_point(path: str, targets: tuple[str, ...]) -> str:
    """Return which of the mount points the path is below; "": of none."""
    below = (each for each in targets if path == each or path.startswith(each.rstrip("/") + "/"))
    return max(below, key=len, default="")


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

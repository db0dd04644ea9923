"""What is dangerous or wrong about an export, in sentences for an operator (domain.md: "world export", "root squash").

A check returns what it finds; it changes nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from datastores.domain.exports import OPTIONS, Client, Export

WIDE = {4: 16, 6: 48}
"""A network with a shorter prefix is larger than a site."""
OPPOSITES = (
    ("ro", "rw"), ("sync", "async"), ("secure", "insecure"), ("root_squash", "no_root_squash"),
    ("all_squash", "no_all_squash"), ("subtree_check", "no_subtree_check"),
)  # fmt: skip


class Severity(StrEnum):
    BAD = "bad"
    WARNING = "warning"
    INFO = "info"


RISKS = {
    "no_root_squash": (
        Severity.WARNING,
        "Root on {who} is root on these files. Hypervisors that run as root need it; the alternative is wide modes "
        "(directories a+rx, files a+rw), which lets every account of these machines in.",
    ),
    "async": (
        Severity.WARNING,
        "async answers before the bytes are on the disk: faster, but what was written last is lost when the server "
        "fails, and disks of running VMs may be damaged.",
    ),
    "insecure": (Severity.INFO, "insecure lets every account of {who} speak to the server, not root alone."),
}
"""Options that trade safety for something else; ``{who}`` is the client."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``code``: the name of the check. ``remedy``: the entry as it was probably meant; None when that is not known."""

    code: str
    severity: Severity
    text: str
    remedy: Export | None = None


def check(entry: Export) -> list[Finding]:
    """Return what is to be said of one entry, the worst first."""
    if entry.broken:
        return [Finding("broken", Severity.BAD, f"exportfs does not take this line: {entry.broken}.")]
    found = [*_world(entry), *(finding for client in entry.clients for finding in _of_client(entry, client))]
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def check_all(entries: Iterable[Export]) -> list[tuple[Export, list[Finding]]]:
    """Return each entry with what is to be said of it, also in view of the others: of all files of one host."""
    known = list(entries)
    roots = {entry.path for entry in known if is_root(entry)}
    return [(entry, check(entry) + list(_several_roots(entry, roots))) for entry in known]


def clash(path: str, *, root: bool, others: Iterable[Export]) -> str:
    """Return why NFSv4 clients would not find a new export of a host, or would lose another; "" when neither is so.

    ``root``: it gets fsid=0. What has that is all that clients see of the server, under other paths (exports(5)).
    """
    beside = [entry for entry in others if entry.path != path]
    if root and beside:
        listed = ", ".join(sorted({entry.path for entry in beside}))
        return f"With fsid=0, NFSv4 clients would see {path} alone, and not find {listed} any more. Leave fsid empty."
    if roots := sorted(entry.path for entry in beside if is_root(entry)):
        return (
            f"{roots[0]} has fsid=0, so NFSv4 clients see nothing else of this server, and would not find {path}. "
            "Take fsid=0 away there first."
        )
    return ""


def _world(entry: Export) -> Iterator[Finding]:
    for before, client in zip((None, *entry.clients), entry.clients, strict=False):
        if client.name == "" and before is not None and not before.everybody and not before.options:
            yield Finding(
                "stray blank", Severity.BAD,
                f"The blank before the bracket exports {entry.path} to everybody with ({','.join(client.options)}), "
                f"and to {before.name} with the defaults alone.", _joined(entry),
            )  # fmt: skip
        elif client.name == "":
            yield Finding(
                "no client", Severity.BAD,
                f"No client stands before ({','.join(client.options)}), so {entry.path} is exported to everybody.",
            )  # fmt: skip
        elif client.everybody:
            yield Finding("world export", Severity.BAD, f"{client.name} exports {entry.path} to everybody.")
    if not entry.clients:
        yield Finding("no client", Severity.BAD, f"No client is named, so {entry.path} is exported to everybody.")


def _joined(entry: Export) -> Export:
    """Return the entry with each lonely bracket joined to the client before it."""
    clients: list[Client] = []
    for client in entry.clients:
        if client.name == "" and clients and not clients[-1].options:
            clients[-1] = Client(clients[-1].name, client.options)
        else:
            clients.append(client)
    return Export(entry.path, tuple(clients), entry.first, entry.last)


def _of_client(entry: Export, client: Client) -> Iterator[Finding]:
    who = "any machine" if client.everybody else client.name
    yield from _malformed(client, who)
    for option, (severity, text) in RISKS.items():
        if client.says(option):
            worse = option == "no_root_squash" and client.everybody
            yield Finding(option, Severity.BAD if worse else severity, text.format(who=who))
    if _is_root(client):
        yield Finding(
            "fsid=0", Severity.INFO,
            f"fsid=0 makes {entry.path} the root of NFSv4: clients mount it as server:/, and see nothing outside it.",
        )  # fmt: skip
    if _is_wide(client):
        yield Finding("wide network", Severity.WARNING, f"{client.name} is a network larger than a site usually is.")


def _malformed(client: Client, who: str) -> Iterator[Finding]:
    for option in client.options:
        if option.partition("=")[0] not in OPTIONS:
            yield Finding("unknown option", Severity.BAD, f"exports(5) knows no option {option[:40]}.")
    for one, other in OPPOSITES:
        if client.says(one) and client.says(other):
            yield Finding("contradiction", Severity.WARNING, f"{one} and {other} contradict each other for {who}.")


def _several_roots(entry: Export, roots: set[str]) -> Iterator[Finding]:
    if entry.path in roots and len(roots) > 1:
        others = ", ".join(sorted(roots - {entry.path}))
        yield Finding(
            "fsid=0", Severity.BAD, f"{others} has fsid=0 as well: a client gets only one of them as its root."
        )


def is_root(entry: Export) -> bool:
    """Tell whether it has fsid=0 for anybody."""
    return any(_is_root(client) for client in entry.clients)


def _is_root(client: Client) -> bool:
    return client.value("fsid") in {"0", "root"}


def _is_wide(client: Client) -> bool:
    try:
        network = ipaddress.ip_network(client.name, strict=False)
    except ValueError:
        return False
    return not client.everybody and network.prefixlen < WIDE[network.version]

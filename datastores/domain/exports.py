"""/etc/exports and the files of /etc/exports.d: what they say, and what is dangerous about it.

Read as nfs-utils reads them (exports(5)). ``render(parse(text)) == text``, whatever the text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from datastores.domain.errors import BadInput
from datastores.domain.values import absolute_path, host_address, one_line

_TOKEN = re.compile(r'[ \t]*((?:"[^"\n]*"?|[^\s"])+)')
_ESCAPED = re.compile(r"\\([0-7]{3})")
_UNSAFE_IN_PATH = re.compile(r'[\s"#\\()]')
_VALUE = re.compile(r"[A-Za-z0-9_./:@+-]*\Z")

_NAMES = """
    ro rw sync async secure insecure wdelay no_wdelay hide nohide crossmnt nocrossmnt subtree_check no_subtree_check
    secure_locks insecure_locks auth_nlm no_auth_nlm mountpoint mp fsid refer replicas pnfs no_pnfs security_label
    sec xprtsec reexport root_squash no_root_squash all_squash no_all_squash anonuid anongid acl no_acl nordirplus
"""
OPTIONS = frozenset(_NAMES.split())
"""exports(5) of nfs-utils 2.6."""
EVERYBODY = frozenset({"", "*", "0.0.0.0/0", "::/0", "0.0.0.0/0.0.0.0"})
MOST_FSID = (1 << 32) - 1
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


def export_client(value: str) -> str:
    """Return a client part that names somebody: an address, a network (CIDR) or a host name, in canonical form.

    :raises BadInput: it is none, or it is everybody.
    """
    value = one_line(value, "A client of the export").strip()
    if value in EVERYBODY:
        raise BadInput(f"{value or 'An empty client part'} exports to everybody. Name a network, such as 10.0.0.0/24.")
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        if "/" in value:
            raise BadInput(f"{value[:60]} is no network, such as 10.0.0.0/24 or fd00::/64.") from None
        return host_address(value, "A client of the export")
    if network.num_addresses == 1:
        return str(network.network_address)
    if str(ipaddress.ip_interface(value).ip) != str(network.network_address):
        raise BadInput(f"{value} has bits beyond its mask; the network is {network}.")
    return str(network)


def export_fsid(value: str) -> str:
    """Return what an export is told apart by: root, a number of 32 bits, or a UUID (exports(5))."""
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= len(str(MOST_FSID)) else -1
    if value != "root" and not 0 <= number <= MOST_FSID and not _UUID.fullmatch(value):
        raise BadInput(f"{value[:40]!r} is no fsid: root, a number up to {MOST_FSID}, or a UUID.")
    return value


def export_path(value: str) -> str:
    """Return the path of a directory that can be exported, written into the file as it is."""
    path = absolute_path(value, "The exported path")
    if _UNSAFE_IN_PATH.search(path):
        raise BadInput('The exported path may hold no blanks and none of " # \\ ( ).')
    return path


def export_option(value: str) -> str:
    """Return an option of exports(5), such as rw or anonuid=1001."""
    name, _, given = value.partition("=")
    if name not in OPTIONS:
        raise BadInput(f"{name[:40]!r} is no option of an export.")
    if not _VALUE.match(given):
        raise BadInput(f"The value of the export option {name} has characters that do not belong there.")
    return value


@dataclass(frozen=True, slots=True)
class Client:
    """Who may mount it, and how. ``name``: "" when the line names nobody, which means everybody."""

    name: str
    options: tuple[str, ...] = ()

    @property
    def everybody(self) -> bool:
        return self.name in EVERYBODY

    def says(self, option: str) -> bool:
        return option in self.options

    def value(self, name: str) -> str | None:
        """Return what the option is set to; None: it is not."""
        return next((option.partition("=")[2] for option in self.options if option.startswith(f"{name}=")), None)

    def __str__(self) -> str:
        return f"{self.name or '*'}({','.join(self.options)})"


@dataclass(frozen=True, slots=True)
class Export:
    """One entry. ``first``, ``last``: its lines, from 0; more than one when it is continued with a backslash.

    ``clients`` is empty when the line names none: then it is everybody's, with the defaults.
    ``broken``: why nfs-utils does not take the line.
    """

    path: str
    clients: tuple[Client, ...]
    first: int = 0
    last: int = 0
    broken: str = ""

    def line(self) -> str:
        """Return it as a line of the file, without what nfs-utils would warn of."""
        return " ".join((_quoted(self.path), *map(str, self.clients)))


@dataclass(frozen=True, slots=True)
class Exports:
    """The lines of the file as they are, without their line feeds."""

    lines: tuple[str, ...]

    def entries(self) -> Iterator[Export]:
        """Yield every entry, also those that are not taken."""
        number = 0
        while number < len(self.lines):
            first, text = number, self.lines[number]
            while text.endswith("\\") and number + 1 < len(self.lines):
                number += 1
                text = f"{text[:-1]} {self.lines[number]}"
            if entry := _entry(text, first, number):
                yield entry
            number += 1

    def text_of(self, entry: Export) -> str:
        """Return the lines of an entry as they are."""
        return "\n".join(self.lines[entry.first : entry.last + 1])

    def replaced(self, entry: Export, line: str) -> Exports:
        """Return the file with ``line`` in place of ``entry``, which was read from it."""
        return Exports((*self.lines[: entry.first], line, *self.lines[entry.last + 1 :]))


def parse(text: str) -> Exports:
    return Exports(tuple(text.split("\n")))


def render(exports: Exports) -> str:
    return "\n".join(exports.lines)


def _entry(text: str, first: int, last: int) -> Export | None:
    tokens = list(_tokens(text))
    if not tokens:
        return None
    path, *rest = tokens
    defaults: tuple[str, ...] = ()
    if rest and rest[0].startswith("-"):
        defaults, rest = tuple(filter(None, rest[0][1:].split(","))), rest[1:]
    broken = "" if path.startswith("/") else f"{path[:40]!r} is no absolute path"
    clients = []
    for token in rest:
        name, bracket, options = token.partition("(")
        if bracket and not options.endswith(")"):
            broken = broken or f"the bracket of {token[:60]!r} is not closed, or something follows it"
        own = tuple(filter(None, options.removesuffix(")").split(",")))
        clients.append(Client(name, (*defaults, *own)))
    return Export(path, tuple(clients), first, last, broken)


def _tokens(text: str) -> Iterator[str]:
    """Yield the words of a line; a comment ends it, quotes keep blanks, and \\040 is a blank."""
    at = 0
    while (found := _TOKEN.match(text, at)) and not found[1].startswith("#"):
        yield _ESCAPED.sub(lambda escape: chr(int(escape[1], 8)), found[1].replace('"', ""))
        at = found.end()


def _quoted(path: str) -> str:
    return f'"{path}"' if re.search(r"[\s#]", path) else path

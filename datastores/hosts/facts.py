"""Everything about a host that the product wants to know, in one round trip, without being root on it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from datastores.domain.errors import Refused
from datastores.domain.plan import Command, Output, Shell, read
from datastores.domain.programs import TOOLS
from datastores.hosts import accounts, exports, hardware, software, usage
from datastores.hosts.accounts import Group, User
from datastores.hosts.exports import ExportsFile
from datastores.hosts.hardware import Array, Disk, Nic
from datastores.hosts.mounts import FINDMNT, mounts
from datastores.hosts.parsing import expect
from datastores.hosts.software import Rights, Tool
from datastores.hosts.usage import FileSystem

T = TypeVar("T")

TIMED_OUT = 124
"""Exit status of timeout(1)."""

READS: dict[str, Command] = {
    "system": read("uname", "-snrm"),
    "release": read("cat", "/etc/os-release"),
    "account": read("id", "-u"),
    "sudo": read("sudo", "-n", "--", "sh", "-c", ":"),
    "processor": hardware.CPU,
    "number of processors": hardware.CPU_COUNT,
    "memory": hardware.MEMORY,
    "addresses": hardware.ADDRESSES,
    "links": hardware.LINKS,
    "disks": hardware.DISKS,
    "arrays": hardware.ARRAYS,
    "mounts": read(*FINDMNT),
    "sizes": usage.LOCAL_SIZES,
    "sizes of network file systems": usage.NETWORK_SIZES,
    "XFS": usage.XFS,
    "tools": read("sh", "-c", 'for t; do command -v "$t"; done; :', "sh", *TOOLS),
    "packages": read(
        "dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\\n", *sorted(set(TOOLS.values()))
    ),
    "accounts": read("getent", "passwd"),
    "groups": read("getent", "group"),
    "exports": exports.LINES,
    "kvm": read("test", "-c", "/dev/kvm"),
    "machine id": read("cat", "/etc/machine-id"),
    "boot time": read("grep", "^btime ", "/proc/stat"),
    "clock": read("date", "+%s.%N"),  # the last: then little time passes until it is heard here
}

HARMLESS = {
    "arrays": "No such file or directory",
    "sizes of network file systems": "no file systems processed",
    "packages": "no packages found matching",
    "exports": "exit status 2",
}
"""What is told of the tools when there is nothing of the kind."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A host as it was when it was read. Memory in bytes; ``clock`` and ``booted`` in seconds since 1970, and so is
    ``heard``: the time here when that of the host was heard.

    ``problems``: sentences about what could not be read; the values concerned are empty then.
    """

    name: str
    os: str
    os_version: str
    os_title: str
    kernel: str
    architecture: str
    machine_id: str
    rights: Rights
    clock: float
    heard: float
    booted: int
    cpu_model: str
    cpu_count: int
    cpu_flags: tuple[str, ...]
    kvm: bool
    memory: int
    memory_available: int
    nics: tuple[Nic, ...]
    disks: tuple[Disk, ...]
    arrays: tuple[Array, ...]
    file_systems: tuple[FileSystem, ...]
    tools: tuple[Tool, ...]
    accounts: tuple[User, ...]
    groups: tuple[Group, ...]
    exports: tuple[ExportsFile, ...]
    problems: tuple[str, ...]

    @staticmethod
    def reads() -> tuple[Command, ...]:
        """Return the commands whose outputs :meth:`parse` needs. The clock is the last of them."""
        return tuple(READS.values())

    @staticmethod
    def parse(outputs: Sequence[Output], host: str = "", heard: float = 0.0) -> HostFacts:
        """Return the facts; ``heard``: when the outputs came.

        :raises Refused: it is no Linux. CommandFailed: it does not even say what it is.
        """
        return _Parser(host, dict(zip(READS, outputs, strict=True)), heard).facts()

    @classmethod
    def of(cls, shell: Shell) -> HostFacts:
        """Read a host. Raises Unreachable, Refused and CommandFailed."""
        return cls.parse(shell.run_many(cls.reads()), shell.host)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, texts and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> HostFacts:
        """Return what :meth:`to_json` gave. Raises TypeError or KeyError for what another version of it gave."""
        facts: HostFacts = _build(cls, plain)
        return facts


class _Parser:
    """Each fact by itself: one that cannot be read becomes a problem and leaves the others alone."""

    def __init__(self, host: str, outputs: Mapping[str, Output], heard: float) -> None:
        self.host, self.outputs, self.heard = host, outputs, heard
        self.problems: list[str] = []

    def facts(self) -> HostFacts:
        name, kernel, architecture = self._system()
        release = self._get("release", software.release, {})
        model, flags = self._get("processor", hardware.cpu, ("", ()))
        memory, available = self._get("memory", hardware.memory, (0, 0))
        links = self._get("links", hardware.links, {})
        versions = self._get("packages", software.versions, {})
        return HostFacts(
            name=name,
            os=release.get("ID", "linux"),
            os_version=release.get("VERSION_ID", ""),
            os_title=release.get("PRETTY_NAME", "Linux"),
            kernel=kernel,
            architecture=architecture,
            machine_id=self._get("machine id", str.strip, ""),
            rights=software.rights(self._get("account", int, -1), self.outputs["sudo"]),
            clock=self._get("clock", float, 0.0),
            heard=self.heard,
            booted=self._get("boot time", lambda text: int(text.split()[1]), 0),
            cpu_model=model,
            cpu_count=self._get("number of processors", int, 0),
            cpu_flags=flags,
            kvm=self.outputs["kvm"].ok,
            memory=memory,
            memory_available=available,
            nics=self._get("addresses", lambda text: hardware.nics(text, links), ()),
            disks=self._get("disks", hardware.disks, ()),
            arrays=self._get("arrays", hardware.arrays, ()),
            file_systems=self._file_systems(),
            tools=self._get("tools", lambda text: software.tools(text, versions), ()),
            accounts=tuple(filter(software.of_interest, self._get("accounts", accounts.users, []))),
            groups=tuple(filter(software.of_interest, self._get("groups", accounts.groups, []))),
            exports=self._get("exports", exports.files, ()),
            problems=tuple(self.problems),
        )

    def _system(self) -> list[str]:
        words = expect(self.host, READS["system"], self.outputs["system"]).split()
        if len(words) != 4 or words[0] != "Linux":
            raise Refused(f"{self.host} is no Linux but {' '.join(words)[:80]!r}; only Linux hosts can be managed.")
        return words[1:]

    def _file_systems(self) -> tuple[FileSystem, ...]:
        table = self._get("mounts", mounts, [])
        sized = self._get("sizes", usage.sizes, {})
        sized |= self._get("sizes of network file systems", usage.sizes, {})
        has_xfs = any(mount.fstype == "xfs" for mount in table)
        reflinking = self._get("XFS", usage.reflinks, {}) if has_xfs else {}
        return usage.file_systems(table, sized, reflinking)

    def _get(self, what: str, parse: Callable[[str], T], default: Any) -> T:
        """Parse what was said, also when it is not all that there is to say: df tells of the file systems that
        answer, and fails because of the one that does not."""
        output = self.outputs[what]
        value: T = default
        if not output.ok:
            self._complain(what, output)
        if output.ok or output.raw:
            try:
                value = parse(output.stdout)
            except (ValueError, LookupError, TypeError) as error:
                self.problems.append(f"{what}: unreadable output ({error!r})")
        return value

    def _complain(self, what: str, output: Output) -> None:
        said = output.stderr.splitlines() or [f"exit status {output.exit_status}"]
        if output.exit_status == TIMED_OUT:
            said = [f"no answer within {READS[what].timeout:g} s"]
        harmless = HARMLESS.get(what)
        self.problems += [f"{what}: {line}" for line in said if not (harmless and harmless in line)]


def _build(kind: Any, plain: Any) -> Any:
    """Return plain JSON as the annotation ``kind`` wants it."""
    if plain is None or get_origin(kind) is UnionType:
        return plain
    if get_origin(kind) is tuple:
        return tuple(_build(get_args(kind)[0], item) for item in plain)
    if is_dataclass(kind) and isinstance(kind, type):
        return kind(**{name: _build(hint, plain[name]) for name, hint in _hints(kind).items()})
    return kind(plain)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Return the annotations of a class; to evaluate them takes longer than all else of reading facts."""
    return get_type_hints(kind)

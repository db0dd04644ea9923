"""What ``zfs list`` says of data sets and snapshots: one process for all that a step asks about.

Names begin with a letter, so none is an option; some of zfs's verbs do not know ``--``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.domain.zfs import CONTENT, FORMAT, in_words, pool_name

COLUMNS = ("name", "type", "mountpoint", "mounted", "origin", "clones", "createtxg", "defer_destroy", FORMAT, CONTENT)
NOT_FOUND = 127  # what timeout(1) exits with when there is no such program
GONE = """said=$(zfs destroy -- "$1" 2>&1) && exit
case $said in *"dataset does not exist"* | *"could not find any snapshots to destroy"*) exit 0 ;; esac
printf '%s\\n' "$said" >&2
exit 1
"""
"""Destroy a data set or snapshot, never with what depends on it; no error when there is none."""
NONE = frozenset({"-", ""})


@dataclass(frozen=True, slots=True)
class Dataset:
    """A file system or a snapshot. ``origin``: the snapshot that it is a clone of. ``clones``: those of a snapshot.

    ``created``: number of the transaction that made it, by which snapshots are ordered. ``deferred``: it goes with its
    last clone. ``content``: see ``hosts.zfs_images``.
    """

    name: str
    type: str
    mountpoint: str = ""
    mounted: bool = False
    origin: str = ""
    clones: tuple[str, ...] = ()
    created: int = 0
    deferred: bool = False
    format: str = ""
    content: str = ""

    @classmethod
    def parse(cls, line: str) -> Dataset:
        name, kind, mountpoint, mounted, origin, clones, created, deferred, format, content = (
            "" if word in NONE else word for word in line.split("\t")
        )
        each = tuple(clones.split(",")) if clones else ()
        return cls(
            name, kind, mountpoint, mounted == "yes", origin, each, int(created or 0), deferred == "on", format, content
        )


Datasets: TypeAlias = Mapping[str, Dataset]
"""What is there, by name."""


def ask(*names: str) -> Command:
    """Return the one read that tells of data sets and snapshots."""
    return _list(*dict.fromkeys(names))


def ask_with_snapshots(dataset: str) -> Command:
    """Return the read that tells of a data set, of its snapshots, and of the data sets right below it."""
    return _list(dataset, depth=("-d", "1"))


def _list(*names: str, depth: tuple[str, ...] = ()) -> Command:
    how = ("-H", "-p", *depth, "-t", "filesystem,volume,snapshot", "-o", ",".join(COLUMNS))
    return read("zfs", "list", *how, "--", *names, root=True)


def found(host: str, command: Command, output: Output) -> Datasets:
    """Return what the reads above saw. A name is missing only when zfs says that it does not exist.

    :raises CommandFailed: something could not be read.
    """
    there = [Dataset.parse(line) for line in output.stdout.splitlines()]
    absent = {f"cannot open '{name}': dataset does not exist" for name in command.argv[command.argv.index("--") + 1 :]}
    said = set(output.stderr.splitlines())
    if not said <= absent or output.exit_status not in {0, 1} or (not output.ok and not said):
        raise CommandFailed(command.argv, output.exit_status, output.stderr, host)
    return {each.name: each for each in there}


def snapshots_of(dataset: str, there: Datasets) -> list[Dataset]:
    """Return the snapshots of a data set, the oldest first."""
    mine = [each for name, each in there.items() if name.startswith(f"{dataset}@")]
    return sorted(mine, key=lambda each: each.created)


def gone(name: str) -> Command:
    """Return the undo of whatever makes the data set or snapshot ``name``."""
    return Command(("sh", "-c", GONE, "sh", name))


def destroy(name: str) -> Command:
    return Command(("zfs", "destroy", "--", name))


def destroy_all(snapshots: Sequence[Dataset]) -> Command:
    """Return the destruction of snapshots of one data set: of all of them, or, when one has a clone, of none."""
    dataset = snapshots[0].name.partition("@")[0]
    return destroy(f"{dataset}@{','.join(each.name.rpartition('@')[2] for each in snapshots)}")


def check_unneeded(host: str, snapshots: Sequence[Dataset], done: str) -> None:
    """Raise Refused when something is a clone of one of the snapshots. ``done``: what would have been "deleted"."""
    for each in snapshots:
        if each.clones:
            raise Refused(
                f"{each.name} on {host} cannot be {done}: {', '.join(each.clones)} "
                f"{'stands' if len(each.clones) == 1 else 'stand'} on it. Delete that first, or promote it "
                "(zfs-promote(8)), so that it stands by itself."
            )


def listed(snapshots: Sequence[Dataset]) -> str:
    return ", ".join(in_words(each.name) for each in snapshots)


@dataclass(frozen=True, slots=True)
class ZfsReady:
    """The host can use ZFS. A check: on Debian its modules are compiled on the host, which is not done unasked."""

    host: str

    @property
    def title(self) -> str:
        return "ZFS can be used"

    def reads(self) -> tuple[Command, ...]:
        return (read("zfs", "version", root=True),)

    def facts(self, outputs: Sequence[Output]) -> str:
        """Return the release, such as "zfs-2.1.11-1+deb12u1"; "" when there is no such program, or no module."""
        (output,), (command,) = outputs, self.reads()
        absent = output.exit_status == NOT_FOUND or "command not found" in output.stderr
        if absent or "modules cannot be auto-loaded" in output.stderr + output.stdout:
            return ""
        if not output.ok or not output.stdout.strip():
            raise CommandFailed(command.argv, output.exit_status, output.stderr, self.host)
        return output.stdout.split()[0]

    def plan(self, facts: str) -> Change | None:
        if not facts:
            raise Refused(
                f"{self.host} has no ZFS, or not its kernel modules. On Debian, enable contrib and install "
                "linux-headers for its kernel, zfs-dkms and zfsutils-linux; on Ubuntu, zfsutils-linux."
            )
        return None


@dataclass(frozen=True, slots=True)
class PoolReady:
    """The pool is there, and whole. A check: what is wrong with disks a person puts right."""

    host: str
    pool: str

    def __post_init__(self) -> None:
        pool_name(self.pool)

    @property
    def title(self) -> str:
        return f"the pool {self.pool} is online"

    def reads(self) -> tuple[Command, ...]:
        return (ask_pool(self.pool),)

    def facts(self, outputs: Sequence[Output]) -> str:
        return health(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: str) -> Change | None:
        if not facts:
            raise Refused(
                f"There is no pool {self.pool} on {self.host}. Say `zpool import` there: it shows pools that can be "
                "imported; or name disks of which a new one is made."
            )
        if facts != "ONLINE":
            raise Refused(f"The pool {self.pool} on {self.host} is {facts}. `zpool status -x {self.pool}` says why.")
        return None


def ask_pool(pool: str) -> Command:
    return read("zpool", "list", "-H", "-p", "-o", "name,health", "--", pool, root=True)


def health(host: str, command: Command, output: Output) -> str:
    """Return the health of the pool, in ZFS's word; "" when there is none.

    :raises CommandFailed: it could not be read.
    """
    if output.exit_status == 1 and output.stderr.strip() == f"cannot open '{command.argv[-1]}': no such pool":
        return ""
    if not output.ok or "\t" not in output.stdout:
        raise CommandFailed(command.argv, output.exit_status, output.stderr, host)
    return output.stdout.rstrip("\n").split("\t")[1]

"""Disks with a data set of their own: made, and gone. The disk in it is called ``disk.0``."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.volumes import Format
from datastores.domain.zfs import DISK, FORMAT, dataset_name
from datastores.hosts.disks import SWEEP
from datastores.hosts.files import Entries
from datastores.hosts.nfs_clients import RECALL_SECONDS
from datastores.hosts.parsing import Entry, canonical_path, entries, entries_read
from datastores.hosts.zfs import (
    Dataset,
    Datasets,
    ask,
    ask_with_snapshots,
    check_unneeded,
    destroy,
    destroy_all,
    found,
    gone,
    listed,
    snapshots_of,
)

CONTENT_FIELDS = r"--printf=%.9Z\n"
"""The time of the last change of a file, of its bytes or its owner. Nobody can set it back, as they can the other one;
``zfs rollback`` brings it back together with the bytes."""


def ask_content(path: str) -> Command:
    """Return the read of what tells one content of a file from another.

    The property ``written`` would be late: it counts what is on the disks, seconds after a guest has written it.
    """
    return read("stat", CONTENT_FIELDS, "--", path, root=True)


def content(command: Command, output: Output) -> str:
    """Return that; "" when there is no file.

    :raises CommandFailed: it could not be read.
    """
    if not output.ok and output.stderr.strip().endswith("No such file or directory"):
        return ""
    if not output.ok:
        raise CommandFailed(command.argv, output.exit_status, output.stderr)
    return output.stdout.strip()


def check_place(host: str, there: Dataset, mountpoint: str) -> None:
    """Raise Refused unless a data set is a file system that lies where it should."""
    if there.type != "filesystem" or there.mountpoint != mountpoint:
        where = there.mountpoint or "nowhere"
        raise Refused(f"{there.name} on {host} is a {there.type} that is mounted at {where}, not at {mountpoint}.")


def made_with(format: Format, reserved: int) -> tuple[str, ...]:
    """Return the options with which the data set of a disk is made."""
    room = ("-o", f"refreservation={reserved}") if reserved else ()
    return "-o", f"{FORMAT}={format}", *room


def mount(dataset: str) -> Action:
    return Action(Command(("zfs", "mount", dataset)), Command(("zfs", "unmount", dataset)))


LET_GO = """
dd if=/dev/null of="$2" conv=notrunc,nocreat count=0 status=none 2>/dev/null
said=$(zfs unmount "$1" 2>&1) && exit
for turn in 1 2 3 4; do
    for cache in nfsd.export nfsd.fh; do
        for second in $(seq 30); do
            [ "$(cat "/proc/net/rpc/$cache/flush" 2>/dev/null || echo 0)" -ge "$(date +%s)" ] || break
            sleep 1
        done
    done
    exportfs -f
    sleep 0.5
    said=$(umount -- "$3" 2>&1) && exit
done
printf '%s\\n' "$said" >&2
exit 1
"""
"""Unmount a data set that clients of NFS have seen.

They give back what they remember of its file when that is opened for writing. The server itself keeps the file system
busy for as long as it remembers that it is exported. zfs has it forget that with each unmount (exportfs); but each time
sets a mark a second further, and before the clock has passed the mark the kernel puts it off (write_flush in
net/sunrpc/cache.c). So where the first attempt fails, that is waited for.
"""
LET_GO_SECONDS = RECALL_SECONDS + 60


def unmount(dataset: Dataset, exported: bool = False) -> Action:
    """Return what comes before a data set is destroyed: it fails when a guest has its disk open: nothing is lost."""
    again = Command(("zfs", "mount", dataset.name))
    if not exported:
        return Action(Command(("zfs", "unmount", dataset.name)), again)
    let_go = ("sh", "-c", LET_GO, "sh", dataset.name, disk_in(dataset.mountpoint), dataset.mountpoint)
    return Action(Command(let_go, timeout=LET_GO_SECONDS), again)


@dataclass(frozen=True, slots=True)
class VolumeDatasetExists:
    """There is a data set for the disk of a volume alone, mounted at ``mountpoint``. Its name is ours: it holds a UUID.

    The format is noted on it, for the name ``disk.0`` does not tell it. ``reserved``: bytes that are kept for it when
    it is made; 0 for none.
    """

    host: str
    dataset: str
    mountpoint: str
    format: Format
    reserved: int = 0

    def __post_init__(self) -> None:
        dataset_name(self.dataset)
        canonical_path(self.mountpoint, "The mount point")

    @property
    def title(self) -> str:
        return f"the data set {self.dataset} is there for a {self.format} disk"

    def reads(self) -> tuple[Command, ...]:
        return (ask(self.dataset),)

    def facts(self, outputs: Sequence[Output]) -> Dataset | None:
        return found(self.host, self.reads()[0], outputs[0]).get(self.dataset)

    def plan(self, facts: Dataset | None) -> Change | None:
        if facts is None:
            create = Command(("zfs", "create", *made_with(self.format, self.reserved), "--", self.dataset))
            return Change(f"make the data set {self.dataset}", (Action(create, gone(self.dataset), scratch=True),))
        check_place(self.host, facts, self.mountpoint)
        actions = () if facts.mounted else (mount(self.dataset),)
        if facts.format != self.format:
            before = (f"{FORMAT}={facts.format}",) if facts.format else ()
            undo = ("zfs", "set", *before) if before else ("zfs", "inherit", FORMAT)
            note = Command(("zfs", "set", f"{FORMAT}={self.format}", self.dataset))
            actions = (*actions, Action(note, Command((*undo, self.dataset))))
        return Change(f"{self.dataset} is mounted for a {self.format} disk", actions) if actions else None


@dataclass(frozen=True, slots=True)
class AbsentFacts:
    """``entries``: the link and its directory, where they are."""

    there: Datasets
    entries: Entries


@dataclass(frozen=True, slots=True)
class VolumeDatasetAbsent:
    """The data set of a volume is gone with its snapshots, and so is the ``link`` to its disk.

    ``link``: where a VM finds it; "" for none. It goes also when it leads elsewhere: to a persistent image. Its
    directory goes when nothing else is in it, unless that is ``within``.
    Nothing is forced: what is a clone of one of the snapshots, or lies below the data set, is named and refused.
    ``exported``: clients of NFS may have seen it.
    """

    host: str
    dataset: str
    link: str = ""
    within: str = "/"
    exported: bool = False

    def __post_init__(self) -> None:
        dataset_name(self.dataset)
        if self.link:
            canonical_path(self.link)

    @property
    def title(self) -> str:
        return f"the data set {self.dataset} is gone" + (f", and {self.link}" if self.link else "")

    def reads(self) -> tuple[Command, ...]:
        return ask_with_snapshots(self.dataset), *((entries_read(self.link),) if self.link else ())

    def facts(self, outputs: Sequence[Output]) -> AbsentFacts:
        command, *look = self.reads()
        there = found(self.host, command, outputs[0])
        return AbsentFacts(there, entries(self.host, look[0], outputs[1]) if look else {})

    def plan(self, facts: AbsentFacts) -> Change | None:
        snapshots = snapshots_of(self.dataset, facts.there)
        mine = facts.there.get(self.dataset)
        link = facts.entries.get(self.link)
        if link and not link.is_link:
            raise Refused(f"{self.link} on {self.host} is {link}, not a link to a disk. Nothing was deleted.")
        actions = (
            *(self._destroy(facts.there, mine, snapshots) if mine else ()),
            *(self._unlink(link) if link else ()),
        )
        if not actions:
            return None
        if not mine:
            return Change(f"delete the link {self.link}", actions)
        with_them = f" with its snapshots {listed(snapshots)}" if snapshots else ""
        return Change(
            f"destroy {self.dataset}{with_them}: its disk is lost for good", actions, "This cannot be undone."
        )

    def _destroy(self, there: Datasets, mine: Dataset, snapshots: Sequence[Dataset]) -> tuple[Action, ...]:
        if below := sorted(name for name in there if name.startswith(f"{self.dataset}/")):
            raise Refused(
                f"{', '.join(below)} on {self.host} lies in {self.dataset}, and is none of ours. Remove it first."
            )
        check_unneeded(self.host, snapshots, "destroyed")
        return destroyed(mine, snapshots, self.exported)

    def _unlink(self, link: Entry) -> tuple[Action, ...]:
        remove = Action(
            Command(("rm", "--", self.link)), Command(("ln", "-sT", "--", link.target, self.link)), harmless=True
        )
        directory = posixpath.dirname(self.link)
        sweep = Action(Command(("sh", "-c", SWEEP, "sh", directory)), harmless=True)
        return (remove,) if directory == self.within else (remove, sweep)


def destroyed(dataset: Dataset, snapshots: Sequence[Dataset], exported: bool = False) -> tuple[Action, ...]:
    """Return the end of a data set with its snapshots, on none of which anything stands."""
    return (
        *((unmount(dataset, exported),) if dataset.mounted else ()),
        *((Action(destroy_all(snapshots), final=True),) if snapshots else ()),
        Action(destroy(dataset.name), final=True),
    )


def disk_in(mountpoint: str) -> str:
    return f"{mountpoint}/{DISK}"

"""Golden snapshots, and the instant clones that are made of them.

``@gold`` notes which content it has (``zfs_volumes.ask_content``). When the disk was written to since, as that of a
persistent image is, a clone takes a snapshot of its own instead, and gives it up at once: ``zfs destroy -d`` lets it go
together with its last clone. So clones of one image that are made side by side never wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.volumes import Format
from datastores.domain.zfs import CONTENT, GOLD, dataset_name, snapshot_name
from datastores.hosts.inodes import Files, around, look, room_for, seen, the_file
from datastores.hosts.parsing import canonical_path
from datastores.hosts.zfs import Datasets, ask, check_unneeded, destroy, found, gone
from datastores.hosts.zfs_volumes import ask_content, check_place, content, disk_in, made_with, mount


def take(snapshot: str, content: str) -> Action:
    """Return the taking of a snapshot that knows which content it has."""
    return Action(
        Command(("zfs", "snapshot", "-o", f"{CONTENT}={content}", "--", snapshot)), gone(snapshot), scratch=True
    )


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A data set and a snapshot of it, as far as they are there. ``content``: of its disk; "" when there is none."""

    there: Datasets
    content: str


def ask_disk(dataset: str, mountpoint: str, snapshot: str) -> tuple[Command, Command]:
    return ask(dataset, snapshot), ask_content(disk_in(mountpoint))


def disk_seen(host: str, reads: tuple[Command, Command], outputs: Sequence[Output]) -> DiskFacts:
    """Return what these reads saw. :raises CommandFailed: it could not be read."""
    command, stat = reads
    return DiskFacts(found(host, command, outputs[0]), content(stat, outputs[1]))


@dataclass(frozen=True, slots=True)
class GoldTaken:
    """``<dataset>@gold`` holds the disk as it is now. An older one is replaced, unless something stands on it.

    A check while the disk is not there yet: its change is empty, so that a plan can be shown that makes it first.
    """

    host: str
    dataset: str
    mountpoint: str

    def __post_init__(self) -> None:
        dataset_name(self.dataset)
        canonical_path(self.mountpoint, "The mount point")

    @property
    def title(self) -> str:
        return f"{self.gold} holds the disk as it is"

    @property
    def gold(self) -> str:
        return snapshot_name(self.dataset, GOLD)

    def reads(self) -> tuple[Command, Command]:
        return ask_disk(self.dataset, self.mountpoint, self.gold)

    def facts(self, outputs: Sequence[Output]) -> DiskFacts:
        return disk_seen(self.host, self.reads(), outputs)

    def plan(self, facts: DiskFacts) -> Change | None:
        gold = facts.there.get(self.gold)
        if not facts.content:
            return Change(f"take {self.gold} when the disk is there", ())
        if gold is None:
            return Change(f"take {self.gold}", (take(self.gold, facts.content),), follows=True)
        if gold.content == facts.content:
            return None
        check_unneeded(self.host, [gold], "replaced")
        old = Action(destroy(self.gold), harmless=True)
        return Change(f"take {self.gold} anew", (old, take(self.gold, facts.content)), follows=True)


@dataclass(frozen=True, slots=True)
class CloneFacts:
    """``content``: of the source's disk. ``leads``: where the link leads to, "" when there is none."""

    there: Datasets
    files: Files
    content: str
    leads: str = ""


@dataclass(frozen=True, slots=True)
class CloneExists:
    """``dataset`` is a clone of ``source`` as that is now, mounted at ``mountpoint``, with a ``link`` to its disk.

    The instant clone: all of it is read in one round trip, made in one, and verified in that. Owner, mode and time of
    the disk are the source's. ``source_mountpoint``: where the source lies. ``link``: where a VM finds it; "" for none.
    ``reserved``: bytes that are kept for it when it is made; 0 for none.
    """

    host: str
    source: str
    source_mountpoint: str
    dataset: str
    mountpoint: str
    format: Format
    link: str = ""
    reserved: int = 0

    def __post_init__(self) -> None:
        for name in (self.source, self.dataset):
            dataset_name(name)
        for path in (self.source_mountpoint, self.mountpoint, *([self.link] if self.link else [])):
            canonical_path(path)

    @property
    def title(self) -> str:
        return f"{self.dataset} is a clone of {self.source}"

    @property
    def gold(self) -> str:
        return snapshot_name(self.source, GOLD)

    @property
    def own(self) -> str:
        """The snapshot that is taken for this clone alone, when the golden one is not of the disk as it is."""
        return snapshot_name(self.source, f"for:{self.dataset.rpartition('/')[2]}")

    @property
    def disk(self) -> str:
        return disk_in(self.mountpoint)

    def reads(self) -> tuple[Command, ...]:
        master = disk_in(self.source_mountpoint)
        beside = around(self.link) if self.link else ()
        links = (read("readlink", "-z", "--", self.link, root=True),) if self.link else ()
        names = (self.source, self.gold, self.own, self.dataset)
        return ask(*names), look(master, self.disk, *beside), ask_content(master), *links

    def facts(self, outputs: Sequence[Output]) -> CloneFacts:
        command, stat, changed, *links = self.reads()
        there = found(self.host, command, outputs[0])
        files = seen(stat, outputs[1])
        leads = ""
        if links and self.link in files and files[self.link].is_link:
            if not outputs[3].ok:
                raise CommandFailed(links[0].argv, outputs[3].exit_status, outputs[3].stderr)
            leads = outputs[3].raw.decode("utf-8", "surrogateescape").removesuffix("\0")
        return CloneFacts(there, files, content(changed, outputs[2]), leads)

    def plan(self, facts: CloneFacts) -> Change | None:
        if self.source not in facts.there:
            raise Refused(f"There is no data set {self.source} on {self.host}.")
        the_file(self.host, facts.files, disk_in(self.source_mountpoint))
        made = self._finished(facts) if self.dataset in facts.there else self._cloned(facts)
        actions = (*made, *(self._linked(facts) if self.link else ()))
        return Change(self.title, actions) if actions else None

    def _cloned(self, facts: CloneFacts) -> tuple[Action, ...]:
        gold, own = facts.there.get(self.gold), facts.there.get(self.own)
        if gold and gold.content == facts.content:
            return (self._clone(self.gold),)
        old = (Action(destroy(self.own), harmless=True),) if own else ()
        return *old, take(self.own, facts.content), self._clone(self.own), self._given_up()

    def _finished(self, facts: CloneFacts) -> tuple[Action, ...]:
        """Return what is left to do of a clone that is there, after an attempt that was cut off."""
        clone, own = facts.there[self.dataset], facts.there.get(self.own)
        if clone.origin not in {self.gold, self.own}:
            of = f"a clone of {clone.origin}" if clone.origin else "no clone"
            raise Refused(f"{self.dataset} on {self.host} is there already; it is {of}. Nothing was changed.")
        check_place(self.host, clone, self.mountpoint)
        if clone.mounted:
            the_file(self.host, facts.files, self.disk)
        mounted = () if clone.mounted else (mount(self.dataset),)
        return *mounted, *((self._given_up(),) if own and not own.deferred else ())

    def _clone(self, snapshot: str) -> Action:
        clone = Command(("zfs", "clone", *made_with(self.format, self.reserved), "--", snapshot, self.dataset))
        return Action(clone, gone(self.dataset), scratch=True)

    def _given_up(self) -> Action:
        return Action(Command(("zfs", "destroy", "-d", "--", self.own)), harmless=True)

    def _linked(self, facts: CloneFacts) -> tuple[Action, ...]:
        there = facts.files.get(self.link)
        if there is not None:
            if facts.leads == self.disk:
                return ()
            leads = f" to {facts.leads}" if facts.leads else ""
            raise Refused(f"{self.link} on {self.host} is {there.noun}{leads}, not a link to {self.disk}.")
        directory = room_for(self.host, facts.files, self.link, with_directory=True)
        link = Action(
            Command(("ln", "-sT", "--", self.disk, self.link)), Command(("rm", "-f", "--", self.link)), scratch=True
        )
        return *directory, link

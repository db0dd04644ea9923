"""Directories that become bricks of GlusterFS volumes, and what is left of them."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.gluster import brick_path, volume_name
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.values import is_below
from datastores.hosts.files import Entries, ancestors, make_directory
from datastores.hosts.gluster import POOL, VOLUMES, Peer, VolumeInfo, not_installed, not_running, pool, volumes
from datastores.hosts.mounts import FINDMNT, mounted
from datastores.hosts.parsing import entries, entries_read, expect

ID = "trusted.glusterfs.volume-id"
_NOT_THERE = "No such file or directory"

CLEAR = """
id=$(sed -n 's/^UUID=//p' /var/lib/glusterd/glusterd.info) && [ -n "$id" ] || exit 1
said=$(gluster --mode=script --xml volume info) || { echo "glusterd does not answer" >&2; exit 1; }
case $said in *"<opRet>0</opRet>"*) ;; *) echo "glusterd does not tell its volumes" >&2; exit 1 ;; esac
if printf '%s\\n' "$said" | grep -F "<brick uuid=\\"$id\\">" | grep -qF ":$1<name>"; then
    echo "$1 is a brick of a volume" >&2; exit 1
fi
cd -- "$1" || exit
kept=$(find . -mindepth 1 -maxdepth 1 ! -name .glusterfs ! -name '.glusterfs-anonymous-inode-*' -print -quit) || exit
[ -z "$kept" ] || { echo "$kept and perhaps more lies in $1" >&2; exit 1; }
find . -mindepth 1 -maxdepth 1 \\( -name .glusterfs -o -name '.glusterfs-anonymous-inode-*' \\) -exec rm -rf {} + &&
    cd / && rmdir -- "$1"
"""
"""Remove a directory in which only GlusterFS's own bookkeeping is left, and of which no volume knows any more."""


def ask_ids(*paths: str) -> Command:
    """Return the read of whose bricks these are. Those that are not there are told by their entries."""
    return read("getfattr", "--absolute-names", "-n", ID, "-e", "hex", "--", *paths, root=True)


def ids(host: str, command: Command, output: Output) -> dict[str, str]:
    """Return by path the uuid of the volume that marked it as a brick.

    :raises CommandFailed: one could not be read for another reason than that it, or the mark, is not there.
    """
    complaints = [line for line in output.stderr.splitlines() if line.strip()]
    if not all(line.endswith((_NOT_THERE, "No such attribute")) for line in complaints):
        raise CommandFailed(command.argv, output.exit_status, output.stderr, host)
    if output.exit_status not in {0, 1}:
        raise CommandFailed(command.argv, output.exit_status, output.stderr, host)
    found, path = {}, ""
    for line in output.stdout.splitlines():
        if line.startswith("# file: "):
            path = line.removeprefix("# file: ")
        elif line.startswith(f"{ID}=0x"):
            digits = line.partition("=0x")[2]
            found[path] = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return found


def ask_inside(path: str) -> Command:
    """Return the read of one name in a directory that is not GlusterFS's own."""
    ours = ("!", "-name", ".glusterfs", "!", "-name", ".glusterfs-anonymous-inode-*")
    return read("find", path, "-mindepth", "1", "-maxdepth", "1", *ours, "-printf", r"%f\0", "-quit", root=True)


def inside(host: str, command: Command, output: Output) -> str:
    """Return that name; "" when there is none, or no directory. Raises CommandFailed."""
    if not output.ok and output.stderr.rstrip().endswith(_NOT_THERE):
        return ""
    return expect(host, command, output).partition("\0")[0]


@dataclass(frozen=True, slots=True)
class BrickFacts:
    """``mount``: where the file system that the path is on is mounted. ``ids``: see :func:`ids`."""

    entries: Entries
    ids: dict[str, str]
    inside: str
    mount: str
    volumes: dict[str, VolumeInfo]

    def name_of(self, uuid: str) -> str:
        """Return the volume with this uuid; "" when the pool has none."""
        return next((volume.name for volume in self.volumes.values() if volume.uuid == uuid), "")


@dataclass(frozen=True, slots=True)
class BrickReady:
    """``path`` is a directory that can become a brick of ``volume``, or is one already.

    It lies on a file system of its own, unless ``on_root``: a brick that fills the root stops its host. ``coming``: an
    earlier step installs and starts glusterd.
    """

    host: str
    path: str
    volume: str
    on_root: bool = False
    coming: bool = False

    def __post_init__(self) -> None:
        brick_path(self.path)
        volume_name(self.volume)

    @property
    def title(self) -> str:
        return f"{self.path} can be a brick of {self.volume}"

    def reads(self) -> tuple[Command, ...]:
        above = ancestors(self.path)
        look = entries_read(*above, self.path)
        return look, ask_ids(*above, self.path), ask_inside(self.path), read(*FINDMNT), VOLUMES

    def facts(self, outputs: Sequence[Output]) -> BrickFacts:
        look, marks, content, table, _ = self.reads()
        targets = [mount.target for mount in mounted(self.host, table, outputs[3])]
        unmarked = self.coming and not_running(outputs[1])
        return BrickFacts(
            entries(self.host, look, outputs[0]), {} if unmarked else ids(self.host, marks, outputs[1]),
            inside(self.host, content, outputs[2]),
            max((target for target in targets if target and is_below(self.path, target)), key=len, default="/"),
            volumes(self.host, outputs[4], coming=self.coming),
        )  # fmt: skip

    def plan(self, facts: BrickFacts) -> Change | None:
        self._check_mount(facts.mount)
        for above in ancestors(self.path):
            if above in facts.ids:
                raise Refused(f"{above} on {self.host}, in which {self.path} lies, is or was a brick itself.")
        there = facts.entries.get(self.path)
        if there is None:
            missing = [path for path in ancestors(self.path) if path not in facts.entries]
            parents = [make_directory(path, "root", "root", "0755") for path in missing]
            make = make_directory(self.path, "root", "root", "0755").do
            clear = Command(("sh", "-c", CLEAR, "sh", self.path), timeout=180)
            return Change(f"make the brick {self.path}", (*parents, Action(make, clear)))
        if not there.is_directory:
            raise Refused(f"{self.path} on {self.host} is {there}, not a directory. Choose another path.")
        self._check_free(facts)
        return None

    def _check_mount(self, mount: str) -> None:
        if mount == self.path:
            raise Refused(
                f"{self.path} on {self.host} is a mount point. When its disk is not mounted, files would go to what is "
                f"below. Use a directory in it, such as {self.path}/brick."
            )
        if mount == "/" and not self.on_root:
            raise Refused(
                f"{self.path} on {self.host} is on the root file system: a full volume would stop the host. "
                "Mount a disk, and use a directory there."
            )

    def _check_free(self, facts: BrickFacts) -> None:
        owner = facts.ids.get(self.path)
        name = facts.name_of(owner) if owner else ""
        if name == self.volume:
            return
        if owner:
            whose = name or f"a volume that is not in this pool ({owner})"
            raise Refused(
                f"{self.path} on {self.host} is or was a brick of {whose}. "
                "Choose another path, or delete it when nothing of it is needed any more."
            )
        if facts.inside:
            name = posixpath.join(self.path, facts.inside)
            raise Refused(f"{name} and perhaps more lies in {self.path} on {self.host}: a brick begins empty.")


@dataclass(frozen=True, slots=True)
class LeftFacts:
    entries: Entries
    ids: dict[str, str]
    inside: str
    peers: tuple[Peer, ...]
    volumes: dict[str, VolumeInfo]


@dataclass(frozen=True, slots=True)
class BrickAbsent:
    """The directory of a brick that no volume has any more is gone, ``with_files`` also when files are in it.

    ``after``: a volume that it may still be a brick of, because an earlier step deletes it or takes the brick away. A
    directory that never was one is left alone then.
    """

    host: str
    path: str
    with_files: bool = False
    after: str = ""

    def __post_init__(self) -> None:
        brick_path(self.path)
        if self.after:
            volume_name(self.after)

    @property
    def title(self) -> str:
        return f"the former brick {self.path} is gone"

    def reads(self) -> tuple[Command, ...]:
        return entries_read(self.path), ask_ids(self.path), ask_inside(self.path), POOL, VOLUMES

    def facts(self, outputs: Sequence[Output]) -> LeftFacts:
        look, marks, content, *_ = self.reads()
        there, left = entries(self.host, look, outputs[0]), inside(self.host, content, outputs[2])
        if not_installed(outputs[4]):
            return LeftFacts(there, {}, left, (), {})
        known = pool(self.host, outputs[3]), volumes(self.host, outputs[4])
        return LeftFacts(there, ids(self.host, marks, outputs[1]), left, *known)

    def plan(self, facts: LeftFacts) -> Change | None:
        if self.path not in facts.entries or (self.after and self.path not in facts.ids):
            return None
        if self.path not in facts.ids:
            raise Refused(f"{self.path} on {self.host} was never a brick. Nothing was deleted.")
        here = next((peer.uuid for peer in facts.peers if peer.ours), "")
        for volume in facts.volumes.values():
            pairs = zip(volume.bricks, volume.brick_hosts, strict=True)
            if volume.name != self.after and any(brick.path == self.path and uuid == here for brick, uuid in pairs):
                raise Refused(f"{self.path} on {self.host} is a brick of {volume.name}. Remove or replace it first.")
        if facts.inside and not self.with_files:
            name = posixpath.join(self.path, facts.inside)
            raise Refused(f"{name} and perhaps more is still in {self.path} on {self.host}. Nothing was deleted.")
        remove = Command(("sh", "-c", CLEAR, "sh", self.path), timeout=180)
        if self.with_files:
            remove = Command(("rm", "-rf", "--one-file-system", "--", self.path), timeout=3600)
        # not what is in it now: files come and go while the steps before this one are carried out
        lost = "what is left in it is lost for good" if self.with_files else "no file is in it"
        return Change(f"delete {self.path}: {lost}", (Action(remove, final=True),), note="This cannot be undone.")


@dataclass(frozen=True, slots=True)
class BrickEmpty:
    """No file of a volume is in the brick, so that nothing is lost with it. A check: it deletes nothing."""

    host: str
    path: str

    def __post_init__(self) -> None:
        brick_path(self.path)

    @property
    def title(self) -> str:
        return f"no file is in the brick {self.path}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_inside(self.path),)

    def facts(self, outputs: Sequence[Output]) -> str:
        return inside(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: str) -> Change | None:
        if facts:
            raise Refused(
                f"{posixpath.join(self.path, facts)} and perhaps more is in the brick on {self.host}: files that "
                "cloudstore has not made. Move them out of the datastore, or delete them there. Nothing was changed."
            )
        return None

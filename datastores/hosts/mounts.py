"""Mounted file systems, now and after a restart of the host."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain import fstab
from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.fstab import Mount, file_system_type, mount_options, mount_source, mount_target
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.lines import edited
from datastores.hosts.parsing import TextFile, editable, expect, text_file, text_reads

FSTAB = "/etc/fstab"
FINDMNT = ("findmnt", "-J", "-l", "-o", "TARGET,SOURCE,FSTYPE,OPTIONS")
"""Reads the kernel's table only: naming a mount point instead would touch it, and a dead NFS server hangs us."""
HIDDEN_DEADLINE = 5.0


def mounts(text: str) -> list[Mount]:
    """Return what FINDMNT printed, in the order of mounting; of several on one target the last is what one sees.

    :raises ValueError: that is not what findmnt prints.
    """
    table = json.loads(text)["filesystems"] if text else []
    return [Mount(one["source"] or "", one["target"], one["fstype"] or "", one["options"] or "") for one in table]


def mounted(host: str, command: Command, output: Output) -> list[Mount]:
    """Return the mounts that findmnt found, perhaps none.

    :raises CommandFailed: the table could not be read.
    """
    if output.exit_status == 1 and not output.raw and "findmnt: " not in output.stderr:
        return []  # nothing matches; it says so without a word
    try:
        return mounts(expect(host, command, output))
    except (ValueError, LookupError) as error:
        raise CommandFailed(command.argv, output.exit_status, f"unreadable output: {error!r}", host) from error


def canonical_mount(source: str, target: str, fstype: str, options: str) -> None:
    """Raise BadInput unless this can be mounted."""
    mount_source(source)
    file_system_type(fstype)
    mount_options(options)
    if mount_target(target) != target:
        raise BadInput(f"The mount point {target} is not in its shortest form {mount_target(target)}.")


@dataclass(frozen=True, slots=True)
class FstabLinePresent:
    """/etc/fstab mounts ``source`` at ``target`` in this way, and nothing else there."""

    host: str
    source: str
    target: str
    fstype: str
    options: str = "defaults"

    def __post_init__(self) -> None:
        canonical_mount(self.source, self.target, self.fstype, self.options)

    @property
    def title(self) -> str:
        return f"{FSTAB} mounts {self.source} at {self.target}"

    def reads(self) -> tuple[Command, ...]:
        return text_reads(FSTAB)

    def facts(self, outputs: Sequence[Output]) -> TextFile:
        return text_file(self.host, FSTAB, outputs)

    def plan(self, facts: TextFile) -> Change | None:
        before = editable(self.host, FSTAB, facts)
        table = fstab.parse(before or "")
        there = table.at(self.target)
        strangers = [f"line {number + 1}: {mount.source}" for number, mount in there if mount.source != self.source]
        if strangers or len(there) > 1:
            listed = "; ".join(strangers) or f"lines {', '.join(str(number + 1) for number, _ in there)}"
            raise Refused(
                f"{FSTAB} on {self.host} mounts something at {self.target} already ({listed}). "
                f"Nothing was changed; remove what is not wanted, so that only {self.source} is mounted there."
            )
        if not there:
            wanted = Mount(self.source, self.target, self.fstype, self.options)
            line = edited(FSTAB, "", fstab.line_of(wanted), made=before is None)
            return fstab_change(f"add {self.target} to {FSTAB}", line)
        ((number, old),) = there
        wanted = Mount(self.source, self.target, self.fstype, self.options, old.dump, old.order)
        if old.means(wanted):
            return None
        line = edited(FSTAB, table.lines[number], fstab.line_of(wanted))
        return fstab_change(f"change {self.target} in {FSTAB}", line)


@dataclass(frozen=True, slots=True)
class MountFacts:
    """``there``: what one sees at the target, None for the bare directory. ``is_source``: it is the wanted one.

    ``hidden``: the name of something in the bare directory, "" when it is empty.
    """

    there: Mount | None
    is_source: bool
    hidden: str


UNMOUNT_NESTED = """
while read -r source place rest; do
    case $place in "$1"/*) stat -- "$place" >/dev/null 2>&1 ;; esac
done < /proc/mounts
exec umount --recursive -- "$1"
"""
"""The kernel gives a nested mount up whose directory is gone on the server when somebody looks there; umount does not
look, does not find it, and fails (Linux 6.1, nfs-utils 2.6)."""


def unmount(target: str, nested: bool) -> Command:
    """Return the unmounting of ``target``. ``nested``: with what the kernel has mounted below it by itself."""
    return Command(("sh", "-c", UNMOUNT_NESTED, "sh", target) if nested else ("umount", "--", target))


@dataclass(frozen=True, slots=True)
class MountPresent:
    """``source`` is really mounted at ``target``. The directory has to be there by the time this is carried out.

    Of the options only ro and rw are compared: the kernel and an NFS server settle the others among themselves.
    ``nested``: the kernel mounts more below it for whoever looks there (NFS, crossmnt); the undo takes that away, too.
    """

    host: str
    source: str
    target: str
    fstype: str
    options: str = "defaults"
    nested: bool = False

    def __post_init__(self) -> None:
        canonical_mount(self.source, self.target, self.fstype, self.options)

    @property
    def title(self) -> str:
        return f"{self.source} is mounted at {self.target}"

    @property
    def _has_aliases(self) -> bool:
        """A block device has several names: UUID=, LABEL=, /dev/disk/by-..., /dev/mapper."""
        return self.source.startswith("/dev/") or "=" in self.source.partition(":")[0]

    def reads(self) -> tuple[Command, ...]:
        table = read(*FINDMNT)
        inside = ("-xdev", "-mindepth", "1", "-maxdepth", "1", "-printf", r"%f\0", "-quit")
        hidden = read("find", self.target, *inside, root=True, timeout=HIDDEN_DEADLINE)
        if not self._has_aliases:
            return table, hidden
        return table, hidden, read(*FINDMNT, "-S", self.source, root=True)

    def facts(self, outputs: Sequence[Output]) -> MountFacts:
        commands = self.reads()
        there = self._seen(mounted(self.host, commands[0], outputs[0]))
        if there is None:
            return MountFacts(None, False, self._hidden(commands[1], outputs[1]))
        is_source = there.source == self.source
        if self._has_aliases:
            same = self._seen(mounted(self.host, commands[2], outputs[2]))
            is_source = same is not None and same.source == there.source
        return MountFacts(there, is_source, "")

    def _seen(self, table: list[Mount]) -> Mount | None:
        return next((mount for mount in reversed(table) if mount.target == self.target), None)

    def _hidden(self, command: Command, output: Output) -> str:
        if not output.ok and output.stderr.rstrip().endswith("No such file or directory"):
            return ""
        return expect(self.host, command, output).partition("\0")[0]

    def plan(self, facts: MountFacts) -> Change | None:
        if facts.there is None:
            return self._mount(facts.hidden)
        if not facts.is_source or not self._is_type(facts.there.fstype):
            raise Refused(
                f"{facts.there.source} ({facts.there.fstype}) is mounted at {self.target} on {self.host}, "
                f"not {self.source} ({self.fstype}). Unmount it when nothing uses it any more."
            )
        wanted, now = ("ro" in options.split(",") for options in (self.options, facts.there.options))
        if wanted != now:
            raise Refused(
                f"{self.target} on {self.host} is mounted {'read-only' if now else 'writable'}, which is not wanted. "
                "The kernel does that after an error of the disk: look into its log (`dmesg`) first, "
                f"then `mount -o remount,{'ro' if wanted else 'rw'} {self.target}`."
            )
        return None

    def _is_type(self, found: str) -> bool:
        accepted = {self.fstype, f"fuse.{self.fstype}"} | ({"nfs4"} if self.fstype == "nfs" else set())
        return self.fstype == "auto" or found in accepted

    def _mount(self, hidden: str) -> Change:
        if hidden:
            raise Refused(
                f"{posixpath.join(self.target, hidden)} and perhaps more lies in the directory that {self.source} "
                f"would be mounted over on {self.host}, and would be hidden. Move it away first."
            )
        mount = Command(("mount", "-t", self.fstype, "-o", self.options, "--", self.source, self.target), timeout=180)
        return Change(f"mount {self.source} at {self.target}", (Action(mount, unmount(self.target, self.nested)),))


@dataclass(frozen=True, slots=True)
class MountAbsent:
    """Nothing is mounted at ``target`` any more. What uses it is not forced off: umount refuses then.

    Only what ``source`` says is unmounted; the undo mounts it as it is here. ``lost``: its server is gone for good, so
    that an unmount would wait for ever; it is taken out of the tree at once, and what still waits for it gets an error
    (umount(8): -f and -l; -i, for the helper of NFS would ask the server first, a minute and a half long).
    ``nested``: what was mounted below it by itself goes first.
    """

    host: str
    source: str
    target: str
    fstype: str
    options: str = "defaults"
    lost: bool = False
    nested: bool = False

    def __post_init__(self) -> None:
        canonical_mount(self.source, self.target, self.fstype, self.options)

    @property
    def title(self) -> str:
        return f"nothing is mounted at {self.target}"

    def reads(self) -> tuple[Command, ...]:
        return (read(*FINDMNT),)

    def facts(self, outputs: Sequence[Output]) -> Mount | None:
        table = mounted(self.host, self.reads()[0], outputs[0])
        return next((mount for mount in reversed(table) if mount.target == self.target), None)

    def plan(self, facts: Mount | None) -> Change | None:
        if facts is None:
            return None
        if facts.source != self.source:
            raise Refused(
                f"{facts.source} is mounted at {self.target} on {self.host}, not {self.source}. It was left alone."
            )
        if self.lost:
            away = Command(("umount", "--force", "--lazy", "--internal-only", "--no-canonicalize", "--", self.target))
            return Change(f"give {self.target} up, whose server is gone", (Action(away, harmless=True),))
        mount = Command(("mount", "-t", self.fstype, "-o", self.options, "--", self.source, self.target), timeout=180)
        return Change(f"unmount {self.target}", (Action(unmount(self.target, self.nested), mount),))


@dataclass(frozen=True, slots=True)
class FstabLineAbsent:
    """/etc/fstab does not mount ``source`` at ``target`` any more; what it says of others stays."""

    host: str
    source: str
    target: str

    def __post_init__(self) -> None:
        canonical_mount(self.source, self.target, "auto", "defaults")

    @property
    def title(self) -> str:
        return f"{FSTAB} does not mount {self.source} at {self.target}"

    def reads(self) -> tuple[Command, ...]:
        return text_reads(FSTAB)

    def facts(self, outputs: Sequence[Output]) -> TextFile:
        return text_file(self.host, FSTAB, outputs)

    def plan(self, facts: TextFile) -> Change | None:
        table = fstab.parse(editable(self.host, FSTAB, facts) or "")
        ours = [table.lines[number] for number, mount in table.at(self.target) if mount.source == self.source]
        if not ours:
            return None
        lines = (edited(FSTAB, line, "") for line in dict.fromkeys(ours))
        return fstab_change(f"take {self.target} out of {FSTAB}", *lines)


def fstab_change(summary: str, *lines: Action) -> Change:
    """Return a change of lines of fstab, after which systemd knows of it."""
    # systemd makes mount units of fstab, and mount(8) complains when they are older
    reload = Command(("systemctl", "daemon-reload"))
    return Change(summary, (*lines, Action(reload, harmless=True)))

"""How large a disk is for its guest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, Output
from datastores.domain.values import SECTOR, format_size
from datastores.domain.volumes import Format
from datastores.hosts import qemu_img
from datastores.hosts.inodes import Inode, look, seen, the_file
from datastores.hosts.parsing import canonical_path


@dataclass(frozen=True, slots=True)
class SizeFacts:
    file: Inode | None
    virtual_size: int


@dataclass(frozen=True, slots=True)
class ImageResized:
    """The disk in ``path`` has ``size`` bytes for its guest. Growing only: what is cut off is lost.

    The format is the declared one: a raw disk on which a guest wrote a qcow2 header grows as the raw disk it is.
    The modification time stays, because no content changes (see ``Inode.is_copy_of``).
    Nothing undoes it: a disk that is too large harms nobody, and cutting could take what a guest has written by then.
    """

    host: str
    path: str
    format: Format
    size: int

    def __post_init__(self) -> None:
        canonical_path(self.path)
        if self.size <= 0 or self.size % SECTOR:
            raise BadInput(f"The size of a disk is a multiple of {SECTOR} bytes, not {self.size}.")

    @property
    def title(self) -> str:
        return f"{self.path} has {format_size(self.size)}"

    def reads(self) -> tuple[Command, ...]:
        details = (qemu_img.ask_info(self.path, "qcow2"),) if self.format is Format.QCOW2 else ()
        return look(self.path), *details

    def facts(self, outputs: Sequence[Output]) -> SizeFacts:
        stat, *details = self.reads()
        file = seen(stat, outputs[0]).get(self.path)
        if file is None:
            return SizeFacts(None, 0)
        if details:
            return SizeFacts(file, qemu_img.info(details[0], outputs[1]).virtual_size)
        return SizeFacts(file, file.size)

    def plan(self, facts: SizeFacts) -> Change | None:
        file = the_file(self.host, {self.path: facts.file} if facts.file else {}, self.path)
        if facts.virtual_size == self.size:
            return None
        if facts.virtual_size > self.size:
            raise Refused(
                f"{self.path} on {self.host} has {format_size(facts.virtual_size)}; making it smaller "
                f"({format_size(self.size)}) would cut off data. Shrink the file system inside first, then copy it "
                "to a new, smaller disk."
            )
        keep_time = Command(("touch", "-m", "-d", f"@{file.modified}", "--", self.path))
        return Change(
            f"grow {self.path} from {format_size(facts.virtual_size)} to {format_size(self.size)}",
            (Action(self._grow()), Action(keep_time)),
        )

    def _grow(self) -> Command:
        if self.format is Format.QCOW2:
            return qemu_img.resize(self.path, self.size)
        return Command(("truncate", "-c", "-s", str(self.size), "--", self.path))

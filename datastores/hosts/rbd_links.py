"""Images that are a VM's disk themselves. RBD has no links, so the image says whose disk it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import RbdImage
from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts.ceph import NO_MARK, ImageInfo, ask_info, ask_mark, info, mark, set_mark
from datastores.hosts.rbd_images import the_image

DISK = "disk"


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """``disk``: the disk that the image is; "" for none."""

    info: ImageInfo | None
    disk: str


@dataclass(frozen=True, slots=True)
class _OfImage:
    host: str
    image: RbdImage
    disk: str

    def reads(self) -> tuple[Command, ...]:
        return ask_info(self.image), ask_mark(self.image, DISK)

    def facts(self, outputs: Sequence[Output]) -> LinkFacts:
        look, note = self.reads()
        return LinkFacts(info(self.host, look, outputs[0]), mark(self.host, note, outputs[1]))

    @property
    def _link(self) -> Command:
        return set_mark(self.image, DISK, self.disk)

    @property
    def _unlink(self) -> Command:
        return set_mark(self.image, DISK, NO_MARK)


@dataclass(frozen=True, slots=True)
class RbdImageLinked(_OfImage):
    """The image is the disk ``disk`` (``one-<vm>-<number>``) of a VM, and of no other."""

    @property
    def title(self) -> str:
        return f"{self.image.spec} is the disk {self.disk}"

    def plan(self, facts: LinkFacts) -> Change | None:
        the_image(self.host, self.image, facts.info)
        if facts.disk == self.disk:
            return None
        if facts.disk:
            raise Refused(f"{self.image.spec} is the disk {facts.disk} already. Two VMs must not write to one image.")
        return Change(self.title, (Action(self._link, undo=self._unlink),))


@dataclass(frozen=True, slots=True)
class RbdImageUnlinked(_OfImage):
    """The image is not the disk ``disk`` any more; whose else it may be stays as it is."""

    @property
    def title(self) -> str:
        return f"{self.image.spec} is not the disk {self.disk}"

    def plan(self, facts: LinkFacts) -> Change | None:
        if facts.info is None or facts.disk != self.disk:
            return None
        return Change(self.title, (Action(self._unlink, undo=self._link),))

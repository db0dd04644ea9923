"""The instant clone of a volume: a thin snapshot, and the link by which a machine finds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.plan import Change, Command, Output
from datastores.hosts import lvm
from datastores.hosts.disks import DeviceLinked, LinkFacts
from datastores.hosts.lvm_volumes import VolumeCloned, VolumeFacts


@dataclass(frozen=True, slots=True)
class CloneFacts:
    volume: VolumeFacts
    link: LinkFacts


@dataclass(frozen=True, slots=True)
class CloneLinked:
    """The volume ``name`` is a thin snapshot of ``origin``, and ``link`` leads to it.

    One step and not two: so all of it is read in one round trip, made in one, and verified in that.
    """

    host: str
    group: str
    origin: str
    name: str
    link: str

    def __post_init__(self) -> None:
        self._cloned(), self._linked()

    @property
    def title(self) -> str:
        return f"{self._cloned().title}, and {self.link} leads to it"

    def reads(self) -> tuple[Command, ...]:
        return *self._cloned().reads(), *self._linked().reads()

    def facts(self, outputs: Sequence[Output]) -> CloneFacts:
        own = len(self._cloned().reads())
        return CloneFacts(self._cloned().facts(outputs[:own]), self._linked().facts(outputs[own:]))

    def plan(self, facts: CloneFacts) -> Change | None:
        changes = self._cloned().plan(facts.volume), self._linked().plan(facts.link)
        actions = tuple(action for change in changes if change for action in change.actions)
        return Change(self.title, actions) if actions else None

    def _cloned(self) -> VolumeCloned:
        return VolumeCloned(self.host, self.group, self.origin, self.name)

    def _linked(self) -> DeviceLinked:
        return DeviceLinked(self.host, self.link, lvm.device(self.group, self.name))

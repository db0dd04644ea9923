"""How hosts come to use a datastore, and cease to; what of that is looked at again and again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from datastores.domain.errors import Unsupported
from datastores.domain.plan import Plan, Stage
from datastores.domain.volumes import Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.travels import Travels
from datastores.hosts.sights import Sight
from datastores.hosts.stored import Footprint


class Hosted(Travels, ABC):
    """The part of a driver that makes a datastore usable on its hosts. What is mounted already needs nothing here."""

    __slots__ = ()
    host: str
    hosts: tuple[str, ...]

    @abstractmethod
    def activate(self, host: str) -> Steps:
        """Make sure that ``host`` can use the datastore; what has to be mounted is mounted by other steps before."""

    def remembered(self, host: str) -> str:
        """Return what ``activate`` tells ``host`` to mount, which is remembered with it; "" for nothing."""
        return ""

    def guard(self, host: str) -> Steps:
        """Return what has to hold on ``host`` before anything is written to the datastore there; () for nothing.

        A clone needs no guard: where the datastore is not mounted, its source is not there.
        """
        return ()

    def writable(self, host: str) -> str:
        """Return the directory of the datastore in which files can be written on ``host``; "" where there is none."""
        return ""

    def same_directory(self, token: str) -> Plan:
        """Return the stages that show that every host sees the same bytes at the base path; () when none has to.

        ``token``: letters and digits that no other job uses.
        """
        return ()

    @abstractmethod
    def deactivate(self, host: str) -> Steps:
        """Take back what ``activate`` made on ``host`` for this datastore alone."""

    def serve(self) -> Steps:
        """Let all its hosts in on the storage host; a part of ``activate`` there, () where nothing has to be told."""
        return ()

    def set_up(self) -> Plan:
        """Return the stages that make the datastore usable on all its hosts."""
        storage, *others = self.hosts
        stages = [Stage("storage host", self.activate(storage))]
        if others:
            stages.append(Stage("hosts", tuple(step for host in others for step in self.activate(host))))
        return tuple(stages)

    def tear_down(self) -> Plan:
        """Return the stages after which no host uses it, the storage host last; what they serve is gone then."""
        storage, *others = self.hosts
        stages = [Stage("hosts", tuple(step for host in others for step in self.deactivate(host)))]
        stages.append(Stage("storage host", self.deactivate(storage)))
        return tuple(stage for stage in stages if stage.steps)

    @property
    def served_by(self) -> tuple[str, ...]:
        """The hosts without any of which what the datastore is made of cannot be taken back."""
        return (self.host,)

    def given_up(self) -> Plan:
        """Return the stages after which the others do not use it, when one of ``served_by`` is gone for good."""
        return self.tear_down()

    def limited(self) -> Steps:
        """Let it take no more than its options say (``limits``)."""
        raise Unsupported(f"{self.label} datastores have no limits of their own.")

    # What is looked at again and again, to find what somebody else has changed

    def keeps(self, host: str) -> Steps:
        """Return what of ``activate`` stays true on ``host`` from then on; nothing that writes in order to look."""
        return self.activate(host)

    def stands_on(self, host: str) -> Steps:
        """Return what has to stay true on ``host`` as long as the datastore is there, whoever has made it so."""
        return *(step for stage in self.set_up() for step in stage.steps if step.host == host), *self.keeps(host)

    def sight(self, host: str) -> Sight | None:
        """Return what ``host`` has to see of the datastore, as one that only uses it; None for nothing."""
        return None

    def stored(self, volume: Volume, before: Footprint | None = None, link: str = "") -> Steps:
        """Say that the volume is there; () where that takes more than a listing. See ``hosts.stored.FileStored``."""
        return ()

    def stores_only(self, volumes: Sequence[Volume]) -> Steps:
        """Say that no other images lie in the datastore; () where that takes more than a listing."""
        return ()

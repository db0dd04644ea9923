"""How volumes leave a datastore and come into one (see transfers.py)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from datastores.domain.errors import Unsupported
from datastores.domain.routes import Route
from datastores.domain.volumes import Format, Volume
from datastores.drivers.abilities import Abilities, Steps
from datastores.drivers.received import Received
from datastores.hosts.copies import AS_SOURCE, Ownership

if TYPE_CHECKING:
    from datastores.drivers.base import StorageDriver


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that lies ready to be sent. ``steps`` make it; ``made``: only to be sent, so it goes afterwards."""

    path: str
    steps: Steps = ()
    made: bool = False


class Travels(Abilities):
    """The part of a driver by which volumes come and go. Files are copied where nothing better is said."""

    __slots__ = ()
    sends_files: ClassVar[bool] = False
    """Whether one host can send a volume to another that does not see it (``sends``, ``fetches``)."""
    sends_streams: ClassVar[bool] = False
    """Whether that can be more than a file (``streams_to``, ``fetches_stream``)."""
    takes_back: ClassVar[bool] = False
    """Whether what a machine made of a persistent image can come back to it (``comes_back``)."""

    @property
    @abstractmethod
    def keeper(self) -> StorageDriver:
        """The driver that keeps the bytes, and knows how they come and go: this one, or one inside of it."""

    def whole(self, volume: Volume) -> Steps:
        """Say that the ``virtual_size`` bytes that are copied are all that there is; () where they always are."""
        return ()

    def export(self, host: str, volume: Volume, place: Received) -> Steps:
        """Copy ``volume`` on ``host``, which sees it, to a file elsewhere, in the format of that."""
        raise Unsupported(f"Images cannot be moved out of {self.label} datastores.")

    def sends(self, volume: Volume, format: Format, name: str) -> Sent:
        """Lay ``volume`` ready on the storage host as one file of this format, for another host to fetch.

        ``name``: what a file that has to be made for it may be called; no other job uses it.
        """
        raise Unsupported(f"Images are not sent from {self.label} datastores to other hosts.")

    def fetches(self, route: Route, copy: Volume, data: int) -> Steps:
        """Make ``copy`` on the target of ``route`` of the file that lies ready at its source; ``data``: its bytes."""
        raise Unsupported(f"{self.label} datastores take no images from hosts that do not see them.")

    def streams_to(self, target: StorageDriver) -> str:
        """Return why other hosts fetch volumes for ``target`` as files, and not as their kind does best.

        "": they do not (``fetches_stream``).
        """
        return f"{self.label} datastores send files"

    def fetches_stream(self, route: Route, volume: Volume, target: StorageDriver, copy: Volume) -> tuple[Steps, Steps]:
        """Return the steps that let the target of ``route`` fetch ``volume``, and those that make ``copy`` of it there.

        Only where ``streams_to`` names no reason against it.
        """
        raise Unsupported(f"Volumes of {self.label} datastores are sent as files.")

    def comes_back(self, volume: Volume, returned: Volume) -> Steps:
        """Put ``returned``, which a machine made of the image ``volume``, in the place of that."""
        raise Unsupported(f"Persistent disks in {self.label} datastores are the images themselves.")

    def receive(self, volume: Volume) -> Received:
        """Return how a volume from elsewhere is put where it belongs."""
        return Received(volume, ownership=self.ownership, with_directory=self.makes_directory(volume))

    @property
    def ownership(self) -> Ownership:
        """Who owns what is stored here."""
        return AS_SOURCE

    def streams(self, volume: Volume, target: StorageDriver, copy: Volume) -> Steps:
        """Return the steps that send ``volume`` to ``target`` as its kind does best; () when files are copied."""
        return ()

    def fill(self, host: str, source: StorageDriver, volume: Volume, copy: Volume, *, compared: bool = False) -> Steps:
        """Make ``copy`` here of a volume of ``source`` on ``host``, which sees both; () when ``source`` exports it.

        ``compared``: with the volume, which is going to be deleted.
        """
        return ()

    def stands_alone(self, volume: Volume) -> bool:
        """Whether the bytes at its path are all there is of the volume, so that copying these copies the disk."""
        return True

    def makes_directory(self, volume: Volume) -> bool:
        """Whether the volume has a directory of its own that comes and goes with it."""
        return False

"""How a volume from elsewhere is put where it belongs."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.domain.plan import AnyStep
from datastores.domain.volumes import Volume
from datastores.hosts.copies import AS_SOURCE, Ownership


@dataclass(frozen=True, slots=True)
class Received:
    """How the bytes of a volume come in: what is made ``before``, the ``file`` they go to, what is made ``after``.

    ``ownership``: that of the file. ``with_directory``: who writes it makes its directory. ``coming``: ``before`` makes
    that. ``compared``: the file is compared with its source, which is going to be deleted.
    """

    file: Volume
    before: tuple[AnyStep, ...] = ()
    after: tuple[AnyStep, ...] = ()
    ownership: Ownership = AS_SOURCE
    with_directory: bool = False
    coming: bool = False
    compared: bool = False

    @property
    def how(self) -> tuple[Ownership, bool, bool, bool]:
        """What every step that writes a file is told besides."""
        return self.ownership, self.with_directory, self.coming, self.compared

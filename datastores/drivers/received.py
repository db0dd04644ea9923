"""How a volume from elsewhere is put where it belongs."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.domain.plan import AnyStep
from datastores.domain.volumes import Volume


@dataclass(frozen=True, slots=True)
class Received:
    """How the bytes of a volume come in: what is made ``before``, the ``file`` they go to, what is made ``after``.

    ``with_directory``: who writes the file makes its directory. ``coming``: ``before`` makes it.
    """

    file: Volume
    before: tuple[AnyStep, ...] = ()
    after: tuple[AnyStep, ...] = ()
    with_directory: bool = False
    coming: bool = False

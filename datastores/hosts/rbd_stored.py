"""Images that have to be where they were left: one listing of a pool tells it of all of them. See ``stored``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import Access, RbdImage, pool_name
from datastores.domain.plan import Change, Command, Output
from datastores.domain.values import format_size
from datastores.hosts.ceph import Listed, ask_images, images
from datastores.hosts.stored import MOST_NAMES, Altered, Foreign, Missing

MASTER = re.compile(r"one-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
"""Names of images that cloudstore makes; those of disks end with two numbers."""


@dataclass(frozen=True, slots=True)
class RbdImageStored:
    """A volume's image is in its pool, with ``least`` bytes or more."""

    host: str
    image: RbdImage
    least: int = 0

    @property
    def title(self) -> str:
        return f"{self.image.spec} is stored"

    def reads(self) -> tuple[Command, ...]:
        return (ask_images(self.image.access, self.image.pool),)

    def facts(self, outputs: Sequence[Output]) -> Listed | None:
        return images(self.host, *self.reads(), outputs[0]).get(self.image.name)

    def plan(self, facts: Listed | None) -> Change | None:
        if facts is None:
            raise Missing(f"There is no such image, as {self.host} sees the pool: somebody removed or renamed it.")
        if facts.size < self.least:
            raise Altered(
                f"It has {facts.size} bytes ({format_size(facts.size)}), but needs {self.least} "
                f"({format_size(self.least)}): it was cut off."
            )
        return None


@dataclass(frozen=True, slots=True)
class OnlyKnownRbdImages:
    """No image of the pool is named as cloudstore names masters but the ``known`` ones.

    What others store there is theirs, and images that are being made have another ending.
    """

    host: str
    access: Access
    pool: str
    known: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pool_name(self.pool)

    @property
    def title(self) -> str:
        return f"the pool {self.pool} holds no master that belongs to nothing"

    def reads(self) -> tuple[Command, ...]:
        return (ask_images(self.access, self.pool),)

    def facts(self, outputs: Sequence[Output]) -> tuple[str, ...]:
        """Return the names of the masters that belong to nothing."""
        names = images(self.host, *self.reads(), outputs[0]).keys() - set(self.known)
        return tuple(sorted(name for name in names if MASTER.match(name)))

    def plan(self, facts: tuple[str, ...]) -> Change | None:
        if not facts:
            return None
        more = f"\nand {len(facts) - MOST_NAMES} more" if len(facts) > MOST_NAMES else ""
        raise Foreign("\n".join(facts[:MOST_NAMES]) + more)

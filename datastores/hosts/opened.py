"""Disks as QEMU opens them on a host, whatever holds their bytes."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.domain.errors import BadInput
from datastores.domain.values import SECTOR
from datastores.hosts import qemu_img
from datastores.hosts.parsing import canonical_path


@dataclass(frozen=True, slots=True)
class Opened:
    """A disk that a host sees: a file, a device, or what lies elsewhere. ``format``: in qemu's words, never guessed.

    ``path``: no link, or an address in qemu's words. ``device``: no file, but a device, or a link to one. ``size``: its
    bytes. What lies behind them on a device is there because a volume ends with an extent. 0: all of a file.
    """

    path: str
    format: str
    size: int
    device: bool = False

    def __post_init__(self) -> None:
        if self.is_path:
            canonical_path(self.path)
        if self.size < 0 or (self.device and (self.size % SECTOR or not self.size)):
            raise BadInput(f"The size of a disk on a device is a multiple of {SECTOR} bytes, not {self.size}.")

    @property
    def is_path(self) -> bool:
        return self.path.startswith("/")

    @property
    def is_file(self) -> bool:
        return self.is_path and not self.device

    @property
    def options(self) -> tuple[str, ...]:
        """How qemu-img is told what to read."""
        return qemu_img.opened(self.path, self.format, self.size if self.device else 0)

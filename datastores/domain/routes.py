"""How one host reaches another over SSH, for the time of one transfer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from datastores.domain.errors import BadInput
from datastores.domain.values import account_name, host_address, port_number

_TOKEN = re.compile(r"[a-z0-9-]{6,64}\Z")
_LINE = re.compile(r"[a-z0-9@.-]{3,60} [A-Za-z0-9+/]{40,4000}={0,3}\Z")
DIRECTORY = "/var/lib/cloudstore/transfers"
"""On both hosts; each transfer has a directory of its own below it, which only root may enter."""


@dataclass(frozen=True, slots=True)
class Route:
    """``target`` fetches from ``source`` over SSH with a key that is made for this alone.

    ``token``: names the transfer. ``address``, ``port``, ``account`` and ``host_keys`` ("type base64"): how the source
    is reached, and the keys that are pinned for it. ``seen_as``: addresses from which the target may come. ``limit``:
    bytes in a second; 0: as fast as it goes.
    """

    token: str
    source: str
    target: str
    address: str
    port: int
    account: str
    host_keys: tuple[str, ...]
    seen_as: tuple[str, ...]
    public_key: str
    private_key: str = field(repr=False)
    limit: int = 0

    def __post_init__(self) -> None:
        if not _TOKEN.match(self.token):
            raise BadInput(f"{self.token[:40]!r} cannot name a transfer.")
        if self.source == self.target:
            raise BadInput(f"{self.source} needs no way to itself.")
        if self.limit < 0:
            raise BadInput("The limit is a number of bytes in a second, or 0 for none.")
        account_name(self.account), port_number(self.port)
        self._check_addresses()
        self._check_keys()

    def _check_addresses(self) -> None:
        for address in (self.address, *self.seen_as):
            if host_address(address) != address:
                raise BadInput(f"The address {address} is usually written {host_address(address)}.")
        if not self.seen_as:
            raise BadInput(f"It is not known from which address {self.target} reaches {self.source}.")

    def _check_keys(self) -> None:
        for line in (*self.host_keys, self.public_key):
            if not _LINE.match(line):
                raise BadInput(f"{line[:40]!r} is not a public key as in id_ed25519.pub, without its comment.")
        if not self.host_keys:
            raise BadInput(f"No host key of {self.source} is pinned. Onboard it first.")

    @property
    def directory(self) -> str:
        """Return the directory of this transfer, on either host."""
        return f"{DIRECTORY}/{self.token}"

    @property
    def mark(self) -> str:
        """Return the comment by which the key is found among others."""
        return f"cloudstore-transfer-{self.token}"

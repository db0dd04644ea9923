"""Where a host is and how to log in to it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One account on one host. Two equal values may share a connection; any difference means a new one.

    ``host_keys`` are the pinned public keys ("ssh-ed25519 AAAA..."), at least one. ``certificate`` is the
    user certificate that belongs to ``private_key`` ("ssh-ed25519-cert-v01@openssh.com AAAA...").
    What is given is tried in this order: certificate, key, agent, password.
    """

    name: str
    address: str
    port: int = 22
    account: str = "root"
    host_keys: tuple[str, ...] = ()
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    certificate: str = ""
    password: str = field(default="", repr=False)
    use_agent: bool = False
    jump: Endpoint | None = None
    """The host through which this one is reached; its own key is pinned too."""

    @property
    def where(self) -> str:
        """The host in an operator's words: "h1 (10.0.0.1:22)"."""
        through = f" through {self.jump.name}" if self.jump else ""
        return f"{self.name} ({self.address}:{self.port}{through})"

    @property
    def is_root(self) -> bool:
        return self.account == "root"

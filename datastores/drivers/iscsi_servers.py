"""What serves targets on the storage host: tgtd, which knows hosts by their addresses, or LIO, by names."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.domain.iscsi import PORT, Account
from datastores.domain.plan import AnyStep
from datastores.drivers.abilities import Steps
from datastores.hosts import lio, tgt
from datastores.hosts.lio import LioTargetGone, LioTargetServed
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.portals import Listener, PortalFree
from datastores.hosts.services import ServiceRunning
from datastores.hosts.tgt_targets import TargetGone, TargetServed


@dataclass(frozen=True, slots=True)
class TgtServer:
    """``who``: lets these in, not the host of a disk. ``account``: as which they log in."""

    host: str
    who: tuple[str, ...] = ()
    account: Account | None = None
    port: int = PORT

    @property
    def free(self) -> PortalFree:
        """tgtd listens everywhere, and all the time."""
        return PortalFree(self.host, self.port, Listener.TGTD)

    def ready(self) -> Steps:
        return self.free, PackageInstalled(self.host, "tgt"), ServiceRunning(self.host, tgt.SERVICE)

    def served(self, name: str, backing: str, size: int, who: str) -> AnyStep:
        return TargetServed(self.host, name, backing, size, self.who or (who,), self.account)

    def gone(self, name: str, leaving: tuple[str, ...], *, forced: bool) -> AnyStep:
        return TargetGone(self.host, name, leaving, forced, self.account)


@dataclass(frozen=True, slots=True)
class LioServer:
    """The same in the kernel. ``portal``: the address at which it listens; "" for everywhere."""

    host: str
    who: tuple[str, ...] = ()
    account: Account | None = None
    port: int = PORT
    portal: str = ""

    @property
    def free(self) -> PortalFree:
        """It listens from its first target on, so that is looked at each time."""
        return PortalFree(self.host, self.port, Listener.KERNEL, self.portal)

    def ready(self) -> Steps:
        return self.free, PackageInstalled(self.host, "targetcli-fb"), ServiceRunning(self.host, lio.SERVICE)

    def served(self, name: str, backing: str, size: int, who: str) -> AnyStep:
        """It asks the device for its size each time."""
        portal = self.portal or lio.EVERYWHERE
        return LioTargetServed(self.host, name, backing, self.who or (who,), self.account, portal)

    def gone(self, name: str, leaving: tuple[str, ...], *, forced: bool) -> AnyStep:
        """A session is never cut off, so nothing is ``forced``."""
        return LioTargetGone(self.host, name, leaving, self.account)

"""Steps that mount a network file system at the base path of a datastore, and take that back."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.domain.errors import BadInput
from datastores.domain.fstab import mount_options
from datastores.drivers.abilities import Steps
from datastores.hosts.copies import Ownership
from datastores.hosts.files import DirectorySwept
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.mount_points import MountPointPresent
from datastores.hosts.mounts import FstabLineAbsent, FstabLinePresent, MountAbsent, MountPresent
from datastores.hosts.trials import RootWrites, TrialsSwept


def nothing_yet(host: str) -> str:
    """Stand for what hosts mount where nobody told."""
    return ""


@dataclass(frozen=True, slots=True)
class NetworkMount:
    """``source``, mounted at ``base`` of every client. ``nested``: file systems below it are mounted by themselves."""

    source: str
    base: str
    fstype: str
    options: str
    nested: bool = False

    def made(self, host: str) -> Steps:
        """Return the mount on a client, now and at boot."""
        what = (host, self.source, self.base, self.fstype, self.options)
        return (
            MountPointPresent(host, self.base),
            FstabLinePresent(*what),
            MountPresent(*what, nested=self.nested),
            BaseReady(host, self.base, self.base, coming=True),
        )

    def gone(self, host: str) -> Steps:
        """Take that back, with the directory, when nothing lies in it."""
        what = (host, self.source, self.base)
        return (
            MountAbsent(*what, self.fstype, self.options, nested=self.nested),
            FstabLineAbsent(*what),
            DirectorySwept(host, self.base),
        )


def tried(base: str, owned: Ownership, hosts: tuple[str, ...], token: str) -> Steps:
    """Return what shows that root of each of these clients can write there, as the owner of what is stored.

    ``token``: letters and digits that no other job uses.
    """
    tokens = {host: f"{token}{number}" for number, host in enumerate(hosts)}
    return tuple(
        step
        for host, own in tokens.items()
        for step in (
            RootWrites(host, base, own, owned.owner, owned.group, owned.mode),
            TrialsSwept(host, base, own),
        )
    )


def checked_mount_options(value: str, *, needs: tuple[str, ...]) -> str:
    """Return mount options of fstab, ``needs`` among them.

    :raises BadInput: one is not allowed, or missing.
    """
    given = mount_options(value).split(",")
    if missing := [option for option in needs if option not in given]:
        raise BadInput(f"The mount options lack {', '.join(missing)}.")
    return value

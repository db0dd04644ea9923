"""How hosts log in to targets, and what they are told of a CHAP secret."""

from __future__ import annotations

from base64 import b64encode
from uuid import NAMESPACE_URL, uuid5

from datastores.domain.iscsi import Account
from datastores.drivers.abilities import Steps
from datastores.hosts.chap import SecretGone, SecretPresent
from datastores.hosts.libvirt_secrets import LibvirtSecretDefined, LibvirtSecretGone, of_chap
from datastores.hosts.open_iscsi import LOGIN_SERVICE
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.services import ServiceEnabled


def told(host: str, account: Account | None, secret: str, *, qemu: bool) -> Steps:
    """Tell the host the secret. ``qemu``: and libvirt, which starts machines whose QEMU logs in by itself."""
    if account is None:
        return ()
    present = SecretPresent(host, account, secret)
    if not qemu:
        return (present,)
    key = b64encode(secret.encode()).decode()
    return present, LibvirtSecretDefined(host, of_chap(account), _uuid(account), key)


def forgotten(host: str, account: Account | None, *, qemu: bool) -> Steps:
    """Take back what ``told`` made."""
    if account is None:
        return ()
    gone = SecretGone(host, account)
    return (gone, LibvirtSecretGone(host, of_chap(account), _uuid(account))) if qemu else (gone,)


def _uuid(account: Account) -> str:
    """The same account of the same datastore has the same UUID on every host, so that VMs can be started anywhere."""
    return str(uuid5(NAMESPACE_URL, f"chap:{account.label}:{account.name}"))


def initiating(host: str, *, qemu: bool) -> Steps:
    """Return what lets a host log in: QEMU by itself, or its kernel, which does so again when it has booted."""
    if qemu:
        return (PackageInstalled(host, "qemu-block-extra"),)
    return PackageInstalled(host, "open-iscsi"), ServiceEnabled(host, LOGIN_SERVICE)

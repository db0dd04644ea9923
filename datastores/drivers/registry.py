"""The kinds of datastore there are. A new kind is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from datastores.domain.errors import BadInput
from datastores.domain.gluster_checks import PlacedBrick
from datastores.domain.gluster_partitions import Partition
from datastores.domain.iscsi import Names, PinnedLun
from datastores.drivers.base import StorageDriver, nowhere
from datastores.drivers.btrfs import BtrfsDriver
from datastores.drivers.ceph import CephDriver
from datastores.drivers.gluster import GlusterDriver
from datastores.drivers.iscsi import IscsiDriver
from datastores.drivers.lvm import LvmDriver
from datastores.drivers.mounting import nothing_yet
from datastores.drivers.nas import NasDriver
from datastores.drivers.nfs import NfsDriver
from datastores.drivers.qcow2 import Qcow2Driver
from datastores.drivers.shared import SharedDriver
from datastores.drivers.ssh import SshDriver
from datastores.drivers.xfs import XfsDriver
from datastores.drivers.zfs import ZfsDriver

DRIVERS: dict[str, type[StorageDriver]] = {
    driver.kind: driver
    for driver in (
        SharedDriver,
        Qcow2Driver,
        BtrfsDriver,
        XfsDriver,
        NfsDriver,
        GlusterDriver,
        SshDriver,
        LvmDriver,
        IscsiDriver,
        NasDriver,
        ZfsDriver,
        CephDriver,
    )
}


def driver_class(kind: str) -> type[StorageDriver]:
    if kind not in DRIVERS:
        raise BadInput(f"There is no kind of datastore called {kind!r}; there are {', '.join(DRIVERS)}.")
    return DRIVERS[kind]


def make_driver(  # noqa: PLR0913 - a datastore is what it is made of
    kind: str,
    *,
    host: str,
    base: str,
    hosts: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    locate: Callable[[str], str] = nowhere,
    bricks: Sequence[PlacedBrick] = (),
    partitions: Sequence[Partition] = (),
    secret: str = "",
    luns: Sequence[PinnedLun] = (),
    names: Names | None = None,
    mounted_from: Callable[[str], str] = nothing_yet,
) -> StorageDriver:
    """Return the driver of one datastore.

    ``bricks``, ``partitions``, ``luns``, ``mounted_from``: of a kind that has them; the others are those of all.

    :raises BadInput: an unknown kind or option, or a value that is not acceptable.
    """
    driver = driver_class(kind)
    given = dict(options or {})
    known = {field.name: field.default for field in fields(driver.Options)}
    for name, value in given.items():
        if name not in known:
            raise BadInput(f"{driver.label} datastores have no option {name}.")
        if not isinstance(value, _json_type(known[name])):
            raise BadInput(f"The option {name} cannot be {value!r}.")
    if secret:
        driver.check_secret(secret)
    parts: dict[str, Any] = {"bricks": tuple(bricks), "partitions": tuple(partitions)} if driver.has_bricks else {}
    parts |= {"luns": tuple(luns)} if driver.has_luns else {}
    parts |= {"mounted_from": mounted_from} if "mounted_from" in {each.name for each in fields(driver)} else {}
    told = tuple(hosts) or (host,), driver.Options(**given), locate, secret, names or Names()
    return driver(host, base, *told, **parts)


def _json_type(default: Any) -> type:
    """Return the type of an option's values as they are stored; enums are texts."""
    return next(kind for kind in (bool, int, str) if isinstance(default, kind))

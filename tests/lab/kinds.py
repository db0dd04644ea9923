"""Every kind of datastore that a lab can hold, with what the tests of all kinds need to know of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from datastores.domain.gluster import Brick
from datastores.domain.gluster_checks import PlacedBrick
from datastores.domain.iscsi import Account, make_chap_secret
from datastores.domain.volumes import Capability, Capacity, Format, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.iscsi import IscsiDriver
from datastores.drivers.registry import make_driver
from datastores.drivers.ssh import SshDriver
from datastores.drivers.transfers import transfer
from tests.lab import ceph
from tests.lab.carrying import Hosts
from tests.lab.disks import MIB

SIZE = 64 * MIB


@dataclass(frozen=True)
class Rig:
    """Where a kind is tried. ``base``: its directory on the storage host, which is h1."""

    kind: str
    base: str
    hosts: tuple[str, ...] = ("h1",)
    options: Mapping[str, Any] = field(default_factory=dict)
    format: Format = Format.QCOW2
    """Of the images it is tried with: one that can do all that the kind can."""
    lab: str = "hosts"
    """The fixture of its hosts: those of "machines" have kernels of their own, others have packages of their own."""
    fitted: Callable[[Hosts], tuple[Mapping[str, Any], str]] = lambda hosts: ({}, "")
    """Return the options, and the secret, that depend on the hosts."""
    bricks: str = ""
    """Of a kind that has bricks: the path of the one that each host gives."""
    variant: str = ""
    """What tells it from others of its kind."""
    used_on: str = ""
    """The host on which disks are read and written, where it is not the storage host."""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.variant}".strip()

    lists: tuple[str, ...] = ()
    """The command that names what is stored and is no file."""
    settles: tuple[str, ...] = ("sync",)
    """The command after which what was written is on the disk, and counted."""
    cleared: tuple[str, ...] = ()
    """The command that removes all of it; otherwise the files at ``base`` are deleted."""

    @property
    def many(self) -> int:
        """Disks of one image: where each takes long, fewer."""
        return {"hosts": 100, "storage_hosts": 25}.get(self.lab, 10)


RIGS = (
    Rig("shared", "/srv/xfs/posix"),
    Rig("qcow2", "/srv/xfs/posix"),
    Rig("btrfs", "/srv/btrfs/kind"),
    Rig("xfs", "/srv/xfs/kind"),
    Rig("nfs", "/srv/kind", ("h1", "h2"), lab="machines"),
    Rig("ssh", "/srv/xfs/ssh", ("h1", "h2")),
    Rig("ssh", "/srv/xfs/ssh-cached", ("h1", "h2"), {"cache": True}, variant="cached"),
    Rig(
        "gluster", "/srv/kind", ("h1", "h2", "h3"), {"layout": "arbiter"}, lab="storage_hosts", bricks="/srv/xfs/brick"
    ),
    Rig("lvm", "/srv/kind", ("h1",), {"disks": "/dev/vdb"}, Format.RAW, lab="machines"),
    Rig(
        "iscsi",
        "/srv/kind",
        ("h1", "h2"),
        {"disks": "/dev/vdb"},
        Format.RAW,
        lab="machines",
        variant="lvm",
    ),
    Rig(
        "iscsi",
        "/srv/kind",
        ("h1", "h2"),
        {"disks": "/dev/vdb", "target": "lio", "prefix": "lv-lio-"},
        Format.RAW,
        lab="machines",
        fitted=lambda hosts: ({}, make_chap_secret()),
        variant="lio",
    ),
    Rig(
        "iscsi",
        "/srv/xfs/luns",
        ("h1", "h2"),
        {"initiator": "qemu", "backing": "xfs"},
        Format.RAW,
        lab="storage_hosts",
        fitted=lambda hosts: ({}, make_chap_secret()),
        variant="xfs",
    ),
    Rig(
        "iscsi",
        "/srv/kind",
        ("h1", "h2"),
        {"backing": "zfs", "dataset": "tank/luns", "disks": "/dev/vdb", "compression": "off"},
        Format.RAW,
        lab="machines",
        fitted=lambda hosts: ({}, make_chap_secret()),
        variant="zfs",
        lists=("zfs", "list", "-H", "-o", "name", "-t", "all", "-r", "tank"),
        settles=("zpool", "sync"),
        cleared=("zpool", "destroy", "-f", "tank"),
    ),
    Rig(
        "zfs",
        "/srv/zfs",
        options={"dataset": "tank/kind", "layout": "mirror", "disks": "/dev/vdb /dev/vdc", "compression": "off"},
        lab="machines",
        lists=("zfs", "list", "-H", "-o", "name", "-t", "all", "-r", "tank"),
        settles=("zpool", "sync"),
        cleared=("zpool", "destroy", "-f", "tank"),
    ),
    Rig(
        "zfs",
        "/srv/zfs",
        ("h1", "h2"),
        {"dataset": "tank/kind", "disks": "/dev/vdb", "compression": "off", "exported": True},
        lab="machines",
        variant="exported",
        used_on="h2",
        lists=("zfs", "list", "-H", "-o", "name", "-t", "all", "-r", "tank"),
        settles=("zpool", "sync"),
        cleared=("sh", "-c", "exportfs -ua && systemctl stop nfs-server && zpool destroy -f tank"),
    ),
    Rig(
        "ceph",
        "/srv/kind",
        ("h1", "h2"),
        {"pool": ceph.POOL},
        Format.RAW,
        lab="ceph_hosts",
        fitted=ceph.fitted,
        lists=("rbd", "ls", ceph.POOL),
        settles=("sleep", "2.5"),  # what its monitors know of a pool is as old
    ),
)


@dataclass(frozen=True)
class Store:
    """A datastore of one kind that was set up on real hosts."""

    rig: Rig
    hosts: Hosts
    driver: StorageDriver
    attached: dict[str, str] = field(default_factory=dict)
    """The links to volumes that are attached to the last host, by their path."""

    @property
    def user(self) -> str:
        """The host on which disks are used that have to be attached."""
        return self.rig.hosts[-1]

    @property
    def attaches(self) -> bool:
        return Capability.ATTACH in self.can

    def use(self, volume: Volume, vm: int, number: int = 0) -> Steps:
        """Return the steps after which a VM uses the volume, and it is read and written that way; () for most kinds."""
        if not self.attaches:
            return ()
        self.attached[volume.path] = self.driver.link_path(vm, number)
        return self.driver.attach(volume, self.user, self.attached[volume.path])

    def leave(self, volume: Volume) -> Steps:
        """Return the steps that take back what ``use`` made."""
        link = self.attached.pop(volume.path, "")
        return self.driver.detach(volume, self.user, link) if link else ()

    def remove(self, volume: Volume) -> Steps:
        """Return the steps that end a disk."""
        return *self.leave(volume), *self.driver.delete(volume)

    empty: frozenset[str] = frozenset()
    """What lies in it when nothing is stored."""

    @property
    def can(self) -> frozenset[Capability]:
        return self.driver.capabilities(self.rig.format)

    def image(self, number: int, format: Format | None = None, size: int = SIZE) -> Volume:
        known = format or self.rig.format
        return Volume(self.driver.image_path(f"0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a{number:04x}", known), known, size)

    def disk(self, vm: int, number: int = 0, size: int = SIZE) -> Volume:
        format = self.driver.clone_format(self.rig.format) if Capability.CLONE in self.can else self.rig.format
        return Volume(self.driver.disk_path(vm, number), format, size)

    @property
    def cache(self) -> SshDriver | None:
        """What makes disks over copies of images that hosts keep; None: they are made in another way."""
        return self.driver if isinstance(self.driver, SshDriver) and self.driver.options.cache else None

    def prepared(self, image: Volume) -> Steps:
        """Return the steps after which disks of the image can be made side by side."""
        if self.cache is None:
            return self.driver.prepare(image)
        copy = self.copy_of(image)
        filled = transfer(self.driver, image, self.cache.cache, copy, self.driver.host)
        return *filled, *(step for some in self.cache.cached(copy) for step in some)

    def disk_of(self, image: Volume, disk: Volume) -> Steps:
        """Return the steps that make a disk of the image, in the way of the kind."""
        if self.cache:
            return *self.prepared(image), *self.cache.over(self.copy_of(image), disk, coming=True)
        make = self.driver.clone if Capability.CLONE in self.can else self.driver.copy
        return self.prepared(image) + make(image, disk)

    def copy_of(self, image: Volume) -> Volume:
        """Return where hosts keep a copy of the image."""
        assert self.cache
        name = image.path.rpartition("/")[2].partition(".")[0]
        return self.cache.cached_copy(name, "0" * 16, image.format, image.virtual_size)

    def delete_image(self, image: Volume) -> Steps:
        """Return the steps that delete an image, and what is kept of it."""
        evicted = self.cache.evicted(self.copy_of(image)) if self.cache else ()
        return *evicted, *self.driver.delete_image(image)

    def told(self, *argv: str, host: str = "") -> str:
        return self.hosts.lab.host(host or self.driver.host).run(argv, check=True).stdout

    def write(self, volume: Volume, pattern: int, at: int = 0) -> None:
        """Write a MiB of bytes with this value into the disk, as a VM would."""
        self._io(volume, f"write -P {pattern} {at} {MIB}")

    def holds(self, volume: Volume, pattern: int, at: int = 0) -> bool:
        """Tell whether the MiB at ``at`` holds bytes of this value alone."""
        said = self._io(volume, f"read -P {pattern} {at} {MIB}", "-r")
        return "Pattern verification failed" not in said

    def size(self, volume: Volume) -> int:
        """Return the size of the disk that a VM would see, in bytes."""
        said = self._io(volume, "length", "-r")
        size, _, unit = said.strip().partition(" ")
        return round(float(size) * {"": 1, "bytes": 1, "KiB": 1024, "MiB": MIB, "GiB": 1024 * MIB}[unit])

    def settled(self) -> Capacity:
        """Return how full it is when nothing is on its way to or from the disk any more: what was deleted, too."""
        shell, seen = self.hosts.shell(self.driver.host), [self.driver.capacity(self.hosts.shell(self.driver.host))]
        for _ in range(40):
            self.told(*self.rig.settles)
            time.sleep(0.25)
            seen.append(self.driver.capacity(shell))
            if seen[-1] == seen[-2]:
                break
        return seen[-1]

    def _io(self, volume: Volume, what: str, *options: str) -> str:
        """Let QEMU do something with a volume: where it is attached, else on the storage host."""
        # where a persistent disk is a link, nothing but the link leads to the image
        path = volume.path if volume.path.startswith("/") else self.driver.opened(volume).path
        host = self.rig.used_on or self.driver.host
        if link := self.attached.get(volume.path):
            host, path = self.user, self.told("readlink", link, host=self.user).strip()
            if path.startswith("iscsi://") and isinstance(self.driver, IscsiDriver) and self.driver.account:
                return self.told("qemu-io", *options, *as_account(path, self.driver.account), "-c", what, host=host)
        return self.told("qemu-io", *options, "-f", volume.format.qemu, "-c", what, path, host=host)

    def names(self) -> set[str]:
        """Return all that lies in the datastore, whatever made it."""
        hosts = self.rig.hosts if self.attaches else self.rig.hosts[:1]
        found = (self.told("find", self.driver.base, "-mindepth", "1", "-printf", "%P\n", host=host) for host in hosts)
        others = self.told(*self.rig.lists).splitlines() if self.rig.lists else []
        return {name for listed in found for name in listed.splitlines()}.union(others) - self.empty


def as_account(url: str, account: Account) -> tuple[str, ...]:
    """Return how QEMU is told an address to which it has to log in; it reads the secret from a file."""
    portal, target, number = url.removeprefix("iscsi://").rsplit("/", 2)
    where = f"driver=iscsi,transport=tcp,portal={portal},target={target},lun={number}"
    secret = "--object", f"secret,id=chap,file={account.file}"
    return *secret, "--image-opts", f"{where},user={account.name},password-secret=chap"


def driver_of(rig: Rig, hosts: Hosts) -> StorageDriver:
    """Return the driver of a rig on the hosts of a lab."""
    addresses = {host.name: str(host.address) for host in hosts.lab.hosts()}
    bricks = [PlacedBrick(name, Brick(addresses[name], rig.bricks)) for name in rig.hosts if rig.bricks]
    options, secret = rig.fitted(hosts)
    return make_driver(
        rig.kind, host="h1", base=rig.base, hosts=rig.hosts, options={**rig.options, **options},
        locate=addresses.__getitem__, bricks=bricks, secret=secret,
    )  # fmt: skip


@contextmanager
def set_up(rig: Rig, hosts: Hosts) -> Iterator[Store]:
    """Set a datastore up as a job does, and take it down again; what lies in it goes with it."""
    driver = driver_of(rig, hosts)
    store = Store(rig, hosts, driver)
    hosts.run([*driver.set_up(), *driver.same_directory("5e1f0a")])
    try:
        yield replace(store, empty=frozenset(store.names()))
    finally:
        store.told(*(rig.cleared or ("find", rig.base, "-mindepth", "1", "-delete")))
        if not rig.cleared:
            hosts.run(driver.tear_down())
        hosts.lab.host("h1").run(["rmdir", "--", rig.base])

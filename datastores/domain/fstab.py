"""/etc/fstab and what may stand in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from datastores.domain.errors import BadInput
from datastores.domain.values import absolute_path

_BLANK = re.compile(r"[ \t]+")
_ESCAPED = re.compile(r"\\([0-7]{3})")
_TYPE = re.compile(r"[a-z0-9][a-z0-9._+-]{0,31}\Z")
_VALUE = re.compile(r"[A-Za-z0-9_./:@%+~\[\]-]*\Z")
_SYSTEMD = re.compile(r"x-systemd\.[a-z-]+\Z")

_NAMES = """
    defaults rw ro suid nosuid dev nodev exec noexec auto noauto nouser async sync dirsync atime noatime diratime
    nodiratime relatime norelatime strictatime nostrictatime lazytime nolazytime _netdev nofail discard nodiscard

    vers nfsvers minorversion proto port rsize wsize timeo retrans retry hard soft softerr softreval nosoftreval
    intr nointr bg fg sec ac noac acregmin acregmax acdirmin acdirmax actimeo lookupcache lock nolock local_lock
    nconnect max_connect resvport noresvport clientaddr fsc nofsc sharecache nosharecache cto nocto mountport
    mountproto mountvers namlen rdirplus nordirplus acl noacl migration nomigration trunkdiscovery
    notrunkdiscovery xprtsec

    compress compress-force subvol subvolid space_cache ssd nossd autodefrag noautodefrag datacow nodatacow datasum
    nodatasum commit degraded flushoncommit largeio inode64 logbufs logbsize noquota uquota usrquota gquota grpquota
    pquota prjquota allocsize swalloc data barrier nobarrier errors user_xattr size mode uid gid nr_inodes

    backup-volfile-servers log-level direct-io-mode transport attribute-timeout entry-timeout background-qlen
    name secretfile mds_namespace fs noshare recover_session
"""  # of any file system (mount(8)); nfs(5); btrfs(5), xfs(5), ext4(5), tmpfs(5); mount.glusterfs(8), mount.ceph(8)

OPTIONS = frozenset(_NAMES.split())
"""Options that a datastore may be mounted with. An allow-list: others name programs to run as root (``helper``,
fuse options) or files to write (``log-file``)."""


def mount_source(value: str) -> str:
    """Return what can be mounted: a device, host:/path, host:volume, UUID=..., or the word of a pseudo file system."""
    if not value or len(value) > 1024 or value.startswith(("-", "#")):
        raise BadInput(f"{value[:40]!r} is nothing that can be mounted.")
    if not value.isprintable():
        raise BadInput("The source of the mount contains an invisible or control character.")
    return value


def mount_target(value: str) -> str:
    """Return the directory to mount on, an absolute path other than the root."""
    value = absolute_path(value, "The mount point")
    if value == "/":
        raise BadInput("Nothing can be mounted over the root of a host.")
    return value


def file_system_type(value: str) -> str:
    """Return a type of file system, such as nfs4 or btrfs."""
    if not _TYPE.match(value):
        raise BadInput(f"{value[:40]!r} is not a type of file system.")
    return value


def mount_options(value: str) -> str:
    """Return mount options such as ``rw,_netdev,rsize=1048576``, each one from :data:`OPTIONS`."""
    for option in value.split(","):
        name, _, given = option.partition("=")
        if name not in OPTIONS and not _SYSTEMD.match(name):
            raise BadInput(f"The mount option {name[:40]!r} is not among those that a datastore may have.")
        if not _VALUE.match(given):
            raise BadInput(f"The value of the mount option {name} has characters that do not belong there.")
    return value


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of fstab, unescaped. ``order``: the pass of fsck, 0 for none."""

    source: str
    target: str
    fstype: str
    options: str = "defaults"
    dump: str = "0"
    order: str = "0"

    def means(self, other: Mount) -> bool:
        """Tell whether both mount the same in the same way; the order of options is no difference."""
        return self._meaning == other._meaning

    @property
    def _meaning(self) -> tuple[str, str, str, frozenset[str]]:
        return self.source, self.target, self.fstype, frozenset(self.options.split(","))


@dataclass(frozen=True, slots=True)
class Fstab:
    """The lines of the file as they are, without their line feeds."""

    lines: tuple[str, ...]

    def mounts(self) -> Iterator[tuple[int, Mount]]:
        """Yield (index of the line, mount) for every line that is neither a comment nor blank nor malformed."""
        for number, line in enumerate(self.lines):
            if mount := _mount(line):
                yield number, mount

    def at(self, target: str) -> list[tuple[int, Mount]]:
        """Return the lines that mount something at ``target``."""
        return [(number, mount) for number, mount in self.mounts() if mount.target == target]


def parse(text: str) -> Fstab:
    return Fstab(tuple(text.split("\n")))


def _mount(line: str) -> Mount | None:
    """Return what a line mounts, as fstab(5) and libmount read it."""
    line = line.strip(" \t\r")
    fields = _BLANK.split(line)
    if not line or line.startswith("#") or len(fields) < 3:
        return None
    source, target, fstype, *rest = (_ESCAPED.sub(_octal, field) for field in fields)
    return Mount(source, target.rstrip("/") or "/", fstype, *rest[:3])


def _octal(escape: re.Match[str]) -> str:
    code = int(escape[1], 8)
    return chr(code) if code < 128 else escape[0]


def line_of(mount: Mount) -> str:
    fields = (mount.source, mount.target, mount.fstype, mount.options, mount.dump, mount.order)
    return " ".join(re.sub(r"[ \t\n\\]", lambda found: f"\\{ord(found[0]):03o}", field) for field in fields)

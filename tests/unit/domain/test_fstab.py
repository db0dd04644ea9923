"""fstab keeps what it does not understand, and refuses what could do harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain import fstab
from datastores.domain.errors import BadInput
from datastores.domain.fstab import Mount, file_system_type, mount_options, mount_source, mount_target

TABLE = """\
# /etc/fstab: static file system information.
UUID=0a3407de-014b-458b-b5c1-848e92a327a3 /               ext4    errors=remount-ro 0       1
UUID=b411dc99-f0a0-4c87-9e05-184977be8539 none            swap    sw
nfs1:/storage\t/srv/my\\040disks\tnfs4\trw,_netdev\t0\t0
 /dev/sdb1   /data/  xfs
broken line
"""

texts = st.text(
    st.one_of(st.sampled_from("# \t\n\r\\/:=,ab0\x0b\x0c\x85\u2028\udc80"), st.characters(exclude_categories=())),
    max_size=300,
)
words = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1, max_size=20)
names = words.filter(lambda word: not word.startswith(("#", "-")) and word.isprintable())
targets = names.map(lambda word: "/srv/" + word.replace("/", "_"))
mounts = st.builds(
    Mount,
    names,
    targets,
    st.sampled_from(["nfs4", "xfs", "fuse.glusterfs"]),
    st.sampled_from(["defaults", "rw,_netdev", "ro,noatime"]),
)


@given(texts)
def test_lines_are_those_of_the_file(text: str) -> None:
    assert "\n".join(fstab.parse(text).lines) == text


@given(texts, mounts)
def test_a_line_that_was_added_is_found_and_leaves_the_others_alone(text: str, mount: Mount) -> None:
    before, after = fstab.parse(text), fstab.parse(f"{text}\n{fstab.line_of(mount)}\n")
    assert after.at(mount.target)[-1][1] == mount
    assert list(after.mounts())[:-1] == list(before.mounts())


def test_lines_are_read_as_mount_reads_them() -> None:
    assert dict(fstab.parse(TABLE).mounts()) == {
        1: Mount("UUID=0a3407de-014b-458b-b5c1-848e92a327a3", "/", "ext4", "errors=remount-ro", "0", "1"),
        2: Mount("UUID=b411dc99-f0a0-4c87-9e05-184977be8539", "none", "swap", "sw"),
        3: Mount("nfs1:/storage", "/srv/my disks", "nfs4", "rw,_netdev"),
        4: Mount("/dev/sdb1", "/data", "xfs"),
    }


def test_the_order_of_options_is_no_difference() -> None:
    assert Mount("a:/b", "/c", "nfs", "rw,_netdev").means(Mount("a:/b", "/c", "nfs", "_netdev,rw", order="2"))
    assert not Mount("a:/b", "/c", "nfs", "rw").means(Mount("a:/b", "/c", "nfs", "ro"))
    assert not Mount("a:/b", "/c", "nfs").means(Mount("a:/b", "/d", "nfs"))


@pytest.mark.parametrize(
    "options",
    ["defaults", "rw,_netdev,rsize=1048576", "compress=zstd:3", "vers=4.2,sec=krb5p", "x-systemd.automount,nofail",
     "backup-volfile-servers=g2:g3", "x-systemd.requires=ceph.target", "clientaddr=[fd00::1]"],
)  # fmt: skip
def test_options_of_datastores_are_accepted(options: str) -> None:
    assert mount_options(options) == options


@pytest.mark.parametrize(
    "options",
    ["", "rw,", "rw,,ro", "helper=/tmp/x", "uhelper=x", "ssh_command=id", "log-file=/etc/cron.d/x", "bind", "remount",
     "user", "loop", "rw rw", "rw;id", "rw=$(id)", "rw=`id`", "rw=a b", "rw\n", "size=1\0", "x-systemd.=x", "RW",
     "X-mount.mkdir", "rw='x'", 'size="1"', "context=x"],
)  # fmt: skip
def test_other_options_are_refused(options: str) -> None:
    with pytest.raises(BadInput):
        mount_options(options)


@pytest.mark.parametrize("source", ["", "-o", "#x", "a\nb", "a\0", "a\u200eb", "x" * 1025])
def test_what_cannot_be_a_source_is_refused(source: str) -> None:
    with pytest.raises(BadInput):
        mount_source(source)


@pytest.mark.parametrize(
    "source", ["10.0.0.1:/srv", "[fd00::1]:/srv", "UUID=1-2", "/dev/mapper/vg-lv", "tmpfs", "a:/b c"]
)
def test_sources_are_accepted(source: str) -> None:
    assert mount_source(source) == source


def test_a_mount_point_is_a_path_below_the_root() -> None:
    assert mount_target("/srv//x/") == "/srv/x"
    for bad in ("/", "//", "srv", "/srv/..", "/a\nb"):
        with pytest.raises(BadInput):
            mount_target(bad)


def test_a_type_is_a_word() -> None:
    assert file_system_type("fuse.glusterfs") == "fuse.glusterfs"
    for bad in ("", "-t", "nfs4,x", "nfs 4", "NFS", "x\n"):
        with pytest.raises(BadInput):
            file_system_type(bad)

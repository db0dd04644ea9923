"""What lies behind what tools say when they fail, told in a sentence."""

from __future__ import annotations

import pytest

from datastores.domain.causes import cause
from datastores.domain.errors import CommandFailed
from datastores.domain.programs import PACKAGES, TOOLS, package_of


@pytest.mark.parametrize(
    ("status", "stderr", "says"),
    [
        (127, "sh: 3: zpool: not found", r"no program zpool on h1. Install the package zfsutils-linux \(from contrib"),
        (127, "sh: 1: lvs: not found\n", "no program lvs on h1. Install the package lvm2 there"),
        (127, "bash: line 1: gluster: command not found", "Install the package glusterfs-server there"),
        (1, "sudo: iscsiadm: command not found", "Install the package open-iscsi there"),
        (127, "timeout: failed to run command 'tgtadm': No such file or directory", "Install the package tgt there"),
        (127, "nohup: failed to run command 'rbd': No such file or directory", "ceph-common there"),
        (127, "sh: 1: exec: btrfs: not found", "Install the package btrfs-progs there"),
        (127, "env: 'targetcli': No such file or directory", "Install the package targetcli-fb there"),
        (203, "Failed to execute /usr/bin/fio: No such file or directory", "Install the package fio there"),
        (127, "sh: 1: frobnicate: not found", "no program frobnicate on h1. Install what brings it there"),
        (
            1,
            "stat: cannot statx '/srv/pool/a.raw': Transport endpoint is not connected",
            r"What serves /srv/pool/a.raw to h1 has stopped: a GlusterFS volume .* Start the volume",
        ),
        (1, "ls: cannot access '/srv/nfs': Stale file handle", "server of /srv/nfs does not know .* mount it again"),
        (
            1,
            "cp: cannot create regular file '/srv/x/a.raw.part': Read-only file system",
            r"file system of /srv/x/a.raw.part on h1 is read-only: .*dmesg",
        ),
        (2, "sh: 1: cannot create /srv/x/.probe: Read-only file system", "file system of /srv/x/.probe on h1"),
        (1, "dd: error writing '/srv/x/a': No space left on device", "file system of /srv/x/a on h1 is full"),
        (1, "error while writing: No space left on device", "a file system on h1 is full"),
    ],
)
def test_what_is_behind_it_is_said(status: int, stderr: str, says: str) -> None:
    error = CommandFailed(("tool",), status, stderr, "h1")
    with pytest.raises(CommandFailed, match=says):
        raise error
    assert str(error).endswith(f"tool on h1 failed: {stderr.strip()} (exit status {status})")


@pytest.mark.parametrize(
    ("status", "stderr"),
    [
        (1, "sh: 3: zpool: not found"),  # another program says so of something else
        (1, "cannot open 'tank': no such pool"),
        (1, "rbd: error opening image a: (2) No such file or directory"),
        (127, ""),
        (1, "fatal: volume vol1: not found"),
        (1, "rbd: couldn't connect to the cluster: Transport endpoint is not connected"),
    ],
)
def test_of_others_nothing_is_made_up(status: int, stderr: str) -> None:
    assert cause(status, stderr, "h1") == ""


def test_programs_of_every_kind_have_their_package() -> None:
    programs = "zpool zfs lvs vgs lvcreate gluster iscsiadm tgtadm rbd ceph btrfs targetcli exportfs qemu-img"
    assert all(package_of(name) for name in programs.split())
    assert package_of("zpool") == package_of("zfs") == PACKAGES["zfs"]
    assert package_of("ceph") == TOOLS["ceph"]

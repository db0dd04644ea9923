"""GlusterFS on three hosts: every step carried out by the real daemons, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from datastores.domain.errors import Cancelled, Refused
from datastores.domain.gluster import Brick, Layout
from datastores.domain.plan import AnyStep, Detached, Stage
from datastores.hosts import gluster
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.gluster_balance import Balance, FixLayoutDone, Rebalanced, ask_balance, balance
from datastores.hosts.gluster_bricks import BrickAbsent, BrickReady
from datastores.hosts.gluster_healing import VolumeHealed, ask_entries, heal
from datastores.hosts.gluster_layout import BrickReplaced, BricksAdded, BricksRemoved
from datastores.hosts.gluster_pool import PeerDetached, PeerProbed
from datastores.hosts.gluster_quota import (
    DirectoryThere,
    QuotaEnabled,
    QuotaLimitAbsent,
    QuotaLimitSet,
    ask_limits,
    limits,
)
from datastores.hosts.gluster_volumes import (
    BricksRunning,
    VolumeAbsent,
    VolumeExists,
    VolumeOptionSet,
    VolumeStarted,
    VolumeStopped,
)
from datastores.hosts.mounts import FstabLinePresent, MountPresent
from datastores.hosts.services import ServiceRunning
from tests.lab.carrying import Diary, Hosts, connected
from tests.lab.lab import Lab
from tests.lab.places import told

pytestmark = pytest.mark.lab

NAMES = ("h1", "h2", "h3")
BRICKS = "/srv/xfs/bricks"
MOUNT = "/srv/volume"
MOVERS = "ps -eo args= | grep -c '[r]ebalance/' || true"
LAYOUTS = {
    "replica": Layout(copies=3),
    "arbiter": Layout(copies=3, arbiters=1),
    "disperse": Layout(fragments=3, redundancy=1),
}


@pytest.fixture(scope="module")
def hosts(storage_lab: Lab) -> Iterator[Hosts]:
    """Three hosts in one pool, h1 having taken in the others."""
    with connected(storage_lab) as found:
        found.run([ServiceRunning(name, "glusterd.service") for name in NAMES])
        found.there_and_back(PeerProbed("h1", "h2"), PeerProbed("h1", "h3"))
        yield found


@pytest.fixture(autouse=True)
def unmounted(hosts: Hosts) -> Iterator[None]:
    """What one test left mounted is not in the way of the next."""
    yield
    hosts.lab.host("h1").run(["umount", MOUNT])


def bricks(volume: str, *names: str) -> tuple[Brick, ...]:
    return tuple(Brick(name, f"{BRICKS}/{volume}") for name in names or NAMES)


def made(volume: str, layout: Layout, *names: str) -> list[AnyStep]:
    """Return the steps to a volume with one brick on each host."""
    of = bricks(volume, *names)
    ready = [BrickReady(brick.peer, brick.path, volume) for brick in of]
    return [*ready, VolumeExists("h1", volume, layout, of)]


def mounted(volume: str, name: str, target: str = MOUNT) -> list[AnyStep]:
    """Return the steps to the volume's mount on a host, from itself and in need from the others."""
    others = ":".join(other for other in NAMES if other != name)
    how = f"{name}:/{volume}", target, "glusterfs", f"defaults,_netdev,backup-volfile-servers={others}"
    return [DirectoryPresent(name, target), FstabLinePresent(name, *how), MountPresent(name, *how)]


def in_use(hosts: Hosts, volume: str, layout: Layout, *names: str) -> None:
    """Make a volume, and mount it on h1."""
    hosts.run([*made(volume, layout, *names), VolumeStarted("h1", volume), *mounted(volume, "h1")[::2]])


def gone(hosts: Hosts, volume: str) -> None:
    """Remove a volume, and what is left of its bricks, as a person would who needs none of it any more."""
    hosts.lab.host("h1").run(["umount", MOUNT])
    info = gluster.volumes("h1", hosts.shell("h1").run(gluster.VOLUMES))[volume]
    clear = [BrickAbsent(brick.peer, brick.path, with_files=True) for brick in info.bricks]
    hosts.run([VolumeAbsent("h1", volume), *clear])


def balance_of(hosts: Hosts, volume: str) -> Balance | None:
    return balance("h1", ask_balance(volume), hosts.shell("h1").run(ask_balance(volume)))


def state(hosts: Hosts) -> list[str]:
    """Return what steps could leave on the hosts."""
    files = ("find", "/etc", "/srv/xfs", "!", "-name", "*.cloudstore~", "-printf", "%p %m %U %l\n")
    found = [told(hosts, "gluster", "volume", "list"), told(hosts, "gluster", "pool", "list")]
    return found + [told(hosts, "sh", "-c", 'cat /etc/fstab; "$@"', "sh", *files, name=name) for name in NAMES]


def write(hosts: Hosts, count: int) -> None:
    script = 'for i in $(seq "$2"); do head -c 100000 /dev/urandom > "$1/f$i" || exit; done'
    told(hosts, "sh", "-c", script, "sh", MOUNT, str(count))


def sums(hosts: Hosts, name: str = "h1") -> str:
    return told(hosts, "sh", "-c", 'cd "$1" && sha256sum *', "sh", MOUNT, name=name)


def test_volumes_with_copies_are_made_mounted_everywhere_and_taken_back(hosts: Hosts) -> None:
    before = state(hosts)
    volumes = [
        [*made(kind, layout), VolumeStarted("h1", kind), VolumeOptionSet("h1", kind, "auth.allow", "10.77.*")]
        for kind, layout in LAYOUTS.items()
    ]
    mounts: list[AnyStep] = []
    for kind, listed_on in zip(LAYOUTS, NAMES, strict=True):  # an undo brings back one version of a host's fstab
        for name in NAMES:
            directory, line, mount = mounted(kind, name, f"/srv/{kind}")
            mounts += [directory, line, mount] if name == listed_on else [directory, mount]
    plan = (*(Stage("volume", (step,)) for volume in volumes for step in volume), Stage("mounts", tuple(mounts)))
    run = hosts.run(plan)
    assert not any(hosts.needs(*(step for stage in plan for step in stage.steps)))
    for kind in LAYOUTS:
        told(hosts, "dd", f"of=/srv/{kind}/note", "status=none", stdin=kind)
        assert {told(hosts, "cat", f"/srv/{kind}/note", name=name) for name in NAMES} == {kind}
        told(hosts, "rm", f"/srv/{kind}/note")
    with pytest.raises(Refused, match="has a volume replica, replicate 1 x 3"):
        hosts.run([VolumeExists("h2", "replica", Layout(), bricks("replica", "h3"))])
    assert None not in hosts.take_back(run).undone
    assert state(hosts) == before


def test_what_a_brick_missed_is_healed_and_another_takes_its_place(hosts: Hosts) -> None:
    volume = "healing"
    in_use(hosts, volume, Layout(copies=3))
    write(hosts, 3)
    told(hosts, "pkill", "-F", f"/run/gluster/vols/{volume}/h2{BRICKS.replace('/', '-')}-{volume}.pid", name="h2")
    told(hosts, "dd", f"of={MOUNT}/a b&<c>", "status=none", stdin="news")
    found = heal("h1", ask_entries(volume), hosts.shell("h1").run(ask_entries(volume)))
    assert found and [str(brick) for brick in found.silent] == [f"h2:{BRICKS}/{volume}"]
    assert found.waiting >= 2
    assert "/a b&<c>" in {entry for brick in found.bricks for entry in brick.entries}
    with pytest.raises(Refused, match="does not answer"):
        hosts.run([VolumeHealed("h1", volume)])
    hosts.run([BricksRunning("h1", volume), VolumeHealed("h1", volume)])
    assert hosts.needs(BricksRunning("h1", volume), VolumeHealed("h1", volume)) == [False, False]
    assert told(hosts, "cat", f"{BRICKS}/{volume}/a b&<c>", name="h2") == "news"

    old, new = Brick("h3", f"{BRICKS}/{volume}"), Brick("h3", f"{BRICKS}/{volume}2")
    hosts.run([BrickReady("h3", new.path, volume), BrickReplaced("h1", volume, old, new), VolumeHealed("h1", volume)])
    assert names_of(hosts, f"{volume}2", "h3") == {"a b&<c>", "f1", "f2", "f3"}
    with pytest.raises(Refused, match="is still in"):
        hosts.run([BrickAbsent("h3", old.path)])
    with pytest.raises(Refused, match="is a brick of healing"):
        hosts.run([BrickAbsent("h3", new.path)])
    hosts.run([BrickAbsent("h3", old.path, with_files=True)])
    gone(hosts, volume)


def test_files_move_to_new_bricks_and_away_again_and_get_limits(hosts: Hosts) -> None:
    volume, more = "spread", bricks("spread", "h3")
    in_use(hosts, volume, Layout(), "h1", "h2")
    write(hosts, 60)
    before = sums(hosts)
    hosts.there_and_back(BrickReady("h3", more[0].path, volume), BricksAdded("h1", volume, more))
    assert names_of(hosts, volume, "h3") == set()
    hosts.run([Rebalanced("h1", volume)])
    done = balance_of(hosts, volume)
    assert done and done.failures == 0 and done.size == done.files * 100000
    assert sum(share.size for share in done.shares) == done.size and {each.peer for each in done.shares} == set(NAMES)
    assert len(names_of(hosts, volume, "h3")) > 5
    again = Rebalanced("h1", volume, done.id)
    assert hosts.needs(Rebalanced("h1", volume), FixLayoutDone("h1", volume), again) == [False, False, True]
    stop_at_the_wait(hosts, BricksRemoved("h1", volume, more))
    hosts.run([BricksRemoved("h1", volume, more)])
    assert names_of(hosts, volume, "h3") == set()
    assert sums(hosts) == before
    hosts.run([BrickAbsent("h3", more[0].path)])

    limit = QuotaLimitSet("h1", volume, "/", 10 << 20)
    hosts.run([QuotaEnabled("h1", volume), limit])
    hosts.there_and_back(replace(limit, size=20 << 20))
    found = limits("h1", ask_limits(volume), hosts.shell("h1").run(ask_limits(volume)))
    assert found["/"].hard == 20 << 20
    gone(hosts, volume)


def test_a_directory_takes_no_more_than_its_limit_until_that_is_lifted(hosts: Hosts) -> None:
    volume = "limited"
    in_use(hosts, volume, Layout(), "h1", "h2")
    with pytest.raises(Refused, match="no directory /srv/volume/blue"):
        hosts.run([DirectoryThere("h1", f"{MOUNT}/blue")])
    told(hosts, "mkdir", f"{MOUNT}/blue")
    blue = QuotaLimitSet("h1", volume, "/blue", 2 << 20)
    timeouts = [VolumeOptionSet("h1", volume, f"features.{name}-timeout", "1") for name in ("soft", "hard")]
    hosts.take_back(hosts.run([QuotaEnabled("h1", volume)]))
    assert hosts.needs(QuotaEnabled("h1", volume)) == [True]
    enabled = hosts.run([QuotaEnabled("h1", volume)])
    hosts.run(timeouts)
    hosts.there_and_back(blue)
    hosts.take_back(enabled)
    assert hosts.needs(QuotaEnabled("h1", volume), blue) == [False, False], "others count on it by now"
    fill = 'for i in $(seq 30); do dd if=/dev/zero bs=1M count=1 conv=fsync >>"$1" || exit 0; sleep 1; done; exit 1'
    told(hosts, "sh", "-c", fill, "sh", f"{MOUNT}/blue/file")
    hosts.there_and_back(QuotaLimitAbsent("h1", volume, "/blue"))
    gone(hosts, volume)


def test_files_that_move_tell_how_far_it_is_and_a_cancel_leaves_nothing_at_work(hosts: Hosts) -> None:
    volume, more = "moves", bricks("moves", "h3")
    in_use(hosts, volume, Layout(), "h1", "h2")
    write(hosts, 600)
    before = sums(hosts)
    hosts.run([BrickReady("h3", more[0].path, volume), BricksAdded("h1", volume, more)])
    hosts.run([VolumeOptionSet("h1", volume, "cluster.rebal-throttle", "lazy")])
    for step in (Rebalanced("h1", volume), BricksRemoved("h1", volume, more)):
        diary = Diary()
        with pytest.raises(Cancelled):
            hosts.run([step], diary=diary, cancelled=lambda: any(done for done, _ in diary.reached))  # noqa: B023
        assert diary.undone and not diary.errors[1:], diary.errors
        assert all(told(hosts, "sh", "-c", MOVERS, name=name) == "0\n" for name in NAMES)
        diary = Diary()
        hosts.run([step], diary=diary)
        half = next((done, total) for done, total in diary.reached if done)
        whole = diary.reached[-1]
        print(f"{step.title}: {half} ... {whole}")
        assert whole[0] == whole[1] > half[0]
        most = 2 if isinstance(step, Rebalanced) else 1000  # of a brick that goes XFS's own 300 MiB count, too
        assert 0.5 < half[1] / whole[1] < most, "what is to be moved is known beforehand, if roughly"
    assert sums(hosts) == before
    hosts.run([BrickAbsent("h3", more[0].path)])
    gone(hosts, volume)


def names_of(hosts: Hosts, volume: str, name: str) -> set[str]:
    """Return the files with data on a brick; what has moved leaves a link without any."""
    listing = ("find", f"{BRICKS}/{volume}", "-maxdepth", "1", "-type", "f", "-size", "+0", "-printf", "%f\n")
    return set(told(hosts, *listing, name=name).splitlines())


def stop_at_the_wait(hosts: Hosts, step: AnyStep) -> None:
    """Cancel a step while it waits; see that it is taken back, and needed as before."""
    asked: list[bool] = []
    diary = Diary(before_action=lambda action: asked.append(True) if isinstance(action.do, Detached) else None)
    with pytest.raises(Cancelled):
        hosts.run([step], diary=diary, cancelled=lambda: bool(asked))
    assert diary.undone
    assert hosts.needs(step) == [True]


def test_what_is_not_ready_to_be_a_brick_is_refused(hosts: Hosts) -> None:
    told(hosts, "mkdir", "-p", f"{BRICKS}/full/file")
    for path, why in (("/srv/plain/b", "root file system"), ("/srv/xfs", "mount point"), (f"{BRICKS}/full", "empty")):
        with pytest.raises(Refused, match=why):
            hosts.run([BrickReady("h1", path, "any")])
    told(hosts, "rm", "-r", f"{BRICKS}/full")
    hosts.run(made("first", Layout()))
    with pytest.raises(Refused, match="is or was a brick of first"):
        hosts.run([BrickReady("h1", f"{BRICKS}/first", "second")])
    with pytest.raises(Refused, match="is or was a brick itself"):
        hosts.run([BrickReady("h1", f"{BRICKS}/first/in", "second")])
    with pytest.raises(Refused, match="h2 has bricks of first"):
        hosts.run([PeerDetached("h1", "h2")])
    hosts.run([VolumeStarted("h1", "first")])
    hosts.run([VolumeStopped("h1", "first")])
    gone(hosts, "first")
    assert hosts.needs(VolumeAbsent("h1", "first")) == [False]


def test_a_host_without_bricks_leaves_the_pool(hosts: Hosts) -> None:
    hosts.there_and_back(PeerDetached("h1", "h3"))
    assert "h3" not in told(hosts, "gluster", "pool", "list")
    hosts.run([PeerProbed("h1", "h3")])

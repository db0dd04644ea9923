"""What a GlusterFS datastore does to the hosts of its bricks and to those that only mount it."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput, Refused
from datastores.domain.export_checks import Severity
from datastores.domain.gluster import Brick, Layout
from datastores.domain.gluster_checks import Disks, PlacedBrick, check
from datastores.domain.plan import AnyStep
from datastores.drivers.gluster import GlusterDriver
from datastores.drivers.registry import make_driver
from datastores.hosts.files import DirectorySwept, MountedRootBelongs
from datastores.hosts.gluster_bricks import BrickAbsent, BrickEmpty, BrickReady
from datastores.hosts.gluster_pool import PeerProbed, PeerUnneeded
from datastores.hosts.gluster_volumes import BricksRunning, VolumeAbsent, VolumeExists, VolumeOptionSet, VolumeStarted
from datastores.hosts.mount_points import MountPointPresent
from datastores.hosts.mounts import FstabLinePresent, MountPresent
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.services import ServiceRunning

BASE, PATH = "/srv/vm images", "/srv/disk/brick"
ADDRESSES = {"h1": "10.0.0.1", "h2": "10.0.0.2", "h3": "10.0.0.3", "h4": "10.0.0.4", "kvm": "kvm.example"}
MOUNT = "rw,_netdev,backup-volfile-servers=10.0.0.2:10.0.0.3"


def bricks(*hosts: str) -> tuple[PlacedBrick, ...]:
    return tuple(PlacedBrick(host, Brick(ADDRESSES[host], PATH)) for host in hosts)


def gluster(*hosts: str, of: tuple[str, ...] = ("h1", "h2", "h3"), **options: Any) -> GlusterDriver:
    made = make_driver(
        "gluster", host="h1", base=BASE, hosts=hosts or ("h1", "h2", "h3"), options=options,
        locate=ADDRESSES.__getitem__, bricks=bricks(*of),
    )  # fmt: skip
    assert isinstance(made, GlusterDriver)
    return made


def stages(driver: GlusterDriver) -> dict[str, tuple[AnyStep, ...]]:
    return {stage.title: stage.steps for stage in driver.set_up()}


def the(steps: tuple[AnyStep, ...], kind: type) -> Any:
    (found,) = (step for step in steps if isinstance(step, kind))
    return found


def test_packages_and_the_daemon_come_before_all_that_asks_it() -> None:
    driver = gluster("h1", "h2", "h3", "h4")
    first, *others = driver.set_up()
    assert first.gate and not any(stage.gate for stage in others)
    server = [PackageInstalled("h2", "glusterfs-server"), PackageInstalled("h2", "glusterfs-client")]
    assert [step for step in first.steps if step.host == "h2"] == [*server, ServiceRunning("h2", "glusterd.service")]
    assert [step for step in first.steps if step.host == "h4"] == [PackageInstalled("h4", "glusterfs-client")]


def test_the_storage_host_makes_the_pool_and_the_volume() -> None:
    made = stages(gluster())
    assert made["pool"] == (PeerProbed("h1", "10.0.0.2", coming=True), PeerProbed("h1", "10.0.0.3", coming=True))
    assert made["bricks"] == tuple(BrickReady(host, PATH, "srv-vm-images", coming=True) for host in ("h1", "h2", "h3"))
    of = tuple(Brick(f"10.0.0.{number}", PATH) for number in (1, 2, 3))
    assert made["volume"] == (
        VolumeExists("h1", "srv-vm-images", Layout(3), of, coming=True),
        VolumeOptionSet("h1", "srv-vm-images", "auth.allow", "10.0.0.1,10.0.0.2,10.0.0.3", coming=True, of=of),
        VolumeStarted("h1", "srv-vm-images", coming=True, of=of),
    )


def test_every_host_mounts_it_from_any_peer_now_and_at_boot() -> None:
    driver = gluster("h1", "h2", "h3", "h4", owner="oneadmin", group="cloud")
    what = ("10.0.0.1:/srv-vm-images", BASE, "glusterfs", MOUNT)
    made = stages(driver)
    for host in driver.hosts:
        mounted = [step for step in made["storage host" if host == "h1" else "hosts"] if step.host == host]
        assert mounted[0] == MountPointPresent(host, BASE)
        assert mounted[1:3] == [FstabLinePresent(host, *what), MountPresent(host, *what)]
    root = the(made["storage host"], MountedRootBelongs)
    assert root == MountedRootBelongs("h1", BASE, "oneadmin", "cloud", "0755")


def test_what_the_pool_calls_a_host_stays_when_the_host_is_called_otherwise() -> None:
    known = [PlacedBrick("renamed", Brick("10.0.0.1", PATH)), PlacedBrick("h2", Brick("10.0.0.2", PATH))]
    driver = make_driver(
        "gluster", host="renamed", base=BASE, hosts=("renamed", "h2"), options={"set_size": 2}, bricks=known
    )
    assert isinstance(driver, GlusterDriver)
    assert (driver.source, driver.peers) == ("10.0.0.1:/srv-vm-images", {"renamed": "10.0.0.1", "h2": "10.0.0.2"})


def test_a_host_that_is_added_mounts_it_and_is_let_in() -> None:
    driver = gluster("h1", "h2", "h3", "h4")
    assert the(driver.serve(), VolumeOptionSet).value == "10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4"
    fresh = gluster("h1", "h4").activate("h4")
    assert fresh[0] == PackageInstalled("h4", "glusterfs-client")
    assert not [step for step in fresh if isinstance(step, PeerProbed | BrickReady | VolumeExists | ServiceRunning)]
    assert the(fresh, MountPresent).options == MOUNT


def test_it_is_taken_down_from_the_mounts_to_the_pool_and_only_when_nothing_is_in_it() -> None:
    down = gluster().tear_down()
    of = tuple(Brick(f"10.0.0.{number}", PATH) for number in (1, 2, 3))
    assert [stage.title for stage in down] == ["nothing is stored", "hosts", "volume", "bricks", "pool"]
    assert down[0].steps == tuple(BrickEmpty(host, PATH) for host in ("h1", "h2", "h3"))
    assert DirectorySwept("h3", BASE) in down[1].steps
    assert down[2].steps == (VolumeAbsent("h1", "srv-vm-images", of=of),)
    assert down[3].steps == tuple(BrickAbsent(host, PATH, after="srv-vm-images") for host in ("h1", "h2", "h3"))
    assert down[4].steps == tuple(PeerUnneeded("h1", f"10.0.0.{number}", "srv-vm-images", of) for number in (2, 3))


def test_what_is_looked_at_later_takes_a_silent_daemon_for_no_empty_pool() -> None:
    kept = gluster().keeps("h1")
    assert BricksRunning("h1", "srv-vm-images") in kept
    assert not any(getattr(step, "coming", False) for step in kept if type(step).__module__.startswith("gluster"))
    assert not [step for step in gluster().keeps("h2") if isinstance(step, BricksRunning | VolumeExists)]


@pytest.mark.parametrize(
    ("options", "layout"),
    [
        ({}, Layout(3)),
        ({"set_size": 2}, Layout(2)),
        ({"layout": "arbiter"}, Layout(3, 1)),
        ({"layout": "disperse"}, Layout(fragments=3, redundancy=1)),
        ({"layout": "disperse", "set_size": 6, "redundancy": 2}, Layout(fragments=6, redundancy=2)),
        ({"layout": "distribute"}, Layout()),
    ],
)
def test_layouts(options: dict[str, Any], layout: Layout) -> None:
    assert gluster(**options).options.placed() == layout


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"layout": "stripe"}, "layout is one of"),
        ({"set_size": 1}, "at least two copies"),
        ({"layout": "disperse", "set_size": 4, "redundancy": 2}, "fewer than half"),
        ({"volume": "all"}, "no name of a GlusterFS volume"),
        ({"allow": "everybody"}, "no address"),
        ({"mount": "rw"}, "lack _netdev"),
        ({"mount": "rw,_netdev,backup-volfile-servers=h9"}, "leave it out"),
        ({"mount": "rw,_netdev,log-file=/etc/passwd"}, "not among those"),
    ],
)
def test_options_that_would_not_work_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        gluster(**options)


def test_hosts_that_are_known_by_name_alone_have_to_be_let_in_by_an_admin() -> None:
    with pytest.raises(BadInput, match="May mount"):
        gluster("h1", "h2", "h3", "kvm").serve()
    assert the(gluster("h1", "kvm", allow="10.0.*").serve(), VolumeOptionSet).value == "10.0.*"


def test_where_hosts_are_has_to_be_known_only_when_it_is_made() -> None:
    store = make_driver("gluster", host="h1", base=BASE, hosts=("h1", "h2"))
    assert store.disk_path(7, 0) == f"{BASE}/7/disk.0"
    with pytest.raises(Refused, match="at which address"):
        store.set_up()


class TestTheBricksThatWereNamed:
    """What is said before a plan is asked for."""

    def said(self, layout: Layout, *hosts: str, forced: bool = False, paths: tuple[str, ...] = ()) -> dict[str, str]:
        named = [
            PlacedBrick(host, Brick(host, (*paths, *(f"/srv/disk/b{number}" for number in range(9)))[number]))
            for number, host in enumerate(hosts)
        ]
        disks = [Disks(host, ("/srv/disk", "/boot")) for host in ("h1", "h2")]
        found = check(layout, named, "h1", disks=disks, forced=forced)
        self.texts = {finding.code: finding.text for finding in found}
        return {finding.code: finding.severity for finding in found}

    def test_nothing_is_wrong_with_three_copies_on_three_hosts(self) -> None:
        assert self.said(Layout(3), "h1", "h2", "h3") == {"room": Severity.INFO}
        assert (
            self.texts["room"]
            == "Replicate 1 x 3: files get 33% of the room of all bricks; of each 3 bricks one may fail."
        )

    def test_a_number_that_does_not_fit_is_told_with_those_that_do(self) -> None:
        assert self.said(Layout(3), "h1", "h2", "h3", "h4")["number"] is Severity.BAD
        assert "3, 6, 9 and so on, not 4" in self.texts["number"]
        assert self.said(Layout())["number"] is Severity.BAD

    def test_two_copies_on_one_host(self) -> None:
        assert self.said(Layout(3), "h1", "h1", "h2")["one host"] is Severity.BAD
        assert "Set 1 has several bricks on h1" in self.texts["one host"]
        assert self.said(Layout(3), "h1", "h1", "h2", forced=True)["one host"] is Severity.WARNING
        assert "one host" not in self.said(Layout(), "h1", "h1")

    def test_two_copies_can_contradict_each_other(self) -> None:
        assert self.said(Layout(2), "h1", "h2")["remark"] is Severity.WARNING
        assert "split-brain" in self.texts["remark"]

    @pytest.mark.parametrize(("path", "code"), [("/var/brick", "root"), ("/srv/disk", "mount point")])
    def test_a_brick_that_is_not_in_a_directory_of_a_disk(self, path: str, code: str) -> None:
        assert self.said(Layout(), "h1", paths=(path,))[code] is Severity.BAD
        assert code not in self.said(Layout(), "h1", "h9", paths=("/srv/disk/a", path))

    def test_a_brick_in_a_brick(self) -> None:
        assert self.said(Layout(), "h1", "h1", paths=("/srv/disk/a", "/srv/disk/a/b"))["twice"] is Severity.BAD

    def test_the_storage_host_has_to_have_one(self) -> None:
        assert self.said(Layout(3), "h2", "h3", "h4")["storage host"] is Severity.BAD

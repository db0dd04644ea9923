"""A GlusterFS datastore on three real hosts: set up as approved, with a brick lost and healed, and taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from datastores.domain.errors import Refused
from datastores.domain.gluster_checks import PlacedBrick
from datastores.domain.plan import Plan, Stage
from datastores.drivers.gluster import GlusterDriver
from datastores.hosts.gluster_healing import VolumeHealed
from datastores.hosts.gluster_seen import VolumeKnown
from datastores.hosts.gluster_volumes import BricksRunning
from datastores.hosts.previews import preview
from datastores.hosts.runner import Run
from datastores.jobs.codec import encode_change
from datastores.jobs.steps import approving
from datastores.models import Job
from datastores.services.volume_bricks import BrickCase, BrickReplace, BricksAdd, BricksRemove, plain
from datastores.services.volumes import VolumeRebalance, VolumeStart, VolumeStop
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.kinds import Rig, Store, driver_of, set_up
from tests.lab.places import told

pytestmark = pytest.mark.lab
hosts = places.storage_hosts

NAMES = ("h1", "h2", "h3")
ARBITER = Rig("gluster", "/srv/vms", NAMES, {"layout": "arbiter"}, lab="storage_hosts", bricks="/srv/xfs/vms")
COPIES = replace(ARBITER, base="/srv/copies", options={"owner": "games", "group": "games"}, bricks="/srv/xfs/copies")


def approved(hosts: Hosts, plan: Plan) -> None:
    """Look at the plan, approve what it shows, and carry it out: exactly that, or it is stale."""
    shown = preview(plan, hosts.shell, Diary())
    assert [each.refused for each in shown if each.refused] == []
    stored = json.loads(json.dumps([encode_change(each.change) for each in shown]))
    Run(plan, hosts.shell, Diary(), unit="cloudstore-gluster-approved", approves=approving(stored)).carry_out()


def gluster(rig: Rig, hosts: Hosts) -> GlusterDriver:
    driver = driver_of(rig, hosts)
    assert isinstance(driver, GlusterDriver)
    return driver


def state(hosts: Hosts) -> list[str]:
    """Return what a datastore could leave on the hosts, but for the daemon."""
    look = 'cat /etc/fstab; find /srv -printf "%p %m %U %l\n" | sort; findmnt -rno TARGET,SOURCE; gluster pool list'
    return [told(hosts, "sh", "-c", look, name=name) for name in NAMES]


@pytest.fixture(scope="module")
def store(hosts: Hosts) -> Iterator[Store]:
    with set_up(ARBITER, hosts) as made:
        yield made


def test_it_is_made_as_was_approved_before_any_daemon_ran_and_leaves_nothing(hosts: Hosts) -> None:
    driver = gluster(COPIES, hosts)
    approved(hosts, (*driver.set_up(), *driver.same_directory("5e1f0a")))
    assert {told(hosts, "stat", "-c", "%U %a", driver.base, name=name) for name in NAMES} == {"games 755\n"}
    assert not any(hosts.needs(*(step for name in NAMES for step in driver.keeps(name))))
    told(hosts, "touch", f"{driver.base}/notes.txt", name="h2")
    with pytest.raises(Refused, match=r"notes.txt and perhaps more is in the brick on h1"):
        hosts.run(driver.tear_down())
    assert told(hosts, "ls", driver.base, name="h3") == "notes.txt\n"
    told(hosts, "rm", f"{driver.base}/notes.txt", name="h3")
    approved(hosts, driver.tear_down())
    before = state(hosts)
    assert not any(driver.base in text or COPIES.bricks in text for text in before)
    run = hosts.run(driver.set_up())
    assert state(hosts) != before
    assert None not in hosts.take_back(run).undone
    assert state(hosts) == before


def test_an_owner_with_a_number_is_made_where_it_is_missing_and_left_alone_where_it_is_there(hosts: Hosts) -> None:
    numbers = {"owner": "oned", "owner_id": 4071, "group": "cloud", "group_id": 4072}
    driver = gluster(replace(COPIES, options=numbers), hosts)
    told(hosts, "groupadd", "-g", "4072", "cloud", name="h2")
    told(hosts, "useradd", "-u", "4071", "-g", "cloud", "-d", "/var/lib/one", "-s", "/bin/bash", "oned", name="h2")
    accounts = [told(hosts, "cat", "/etc/passwd", "/etc/group", name=name) for name in NAMES]
    run = hosts.run(driver.set_up())
    assert not any(hosts.needs(*(step for name in NAMES for step in driver.keeps(name))))
    assert {told(hosts, "stat", "-c", "%u:%g", driver.base, name=name) for name in NAMES} == {"4071:4072\n"}
    assert told(hosts, "getent", "passwd", "oned", name="h1") == "oned:x:4071:4072::/nonexistent:/usr/sbin/nologin\n"
    assert told(hosts, "cat", "/etc/passwd", "/etc/group", name="h2") == accounts[1]
    hosts.take_back(run)
    assert [told(hosts, "cat", "/etc/passwd", "/etc/group", name=name) for name in NAMES] == accounts
    told(hosts, "userdel", "oned", name="h2")
    told(hosts, "groupdel", "cloud", name="h2")


def test_an_owner_who_is_another_account_on_one_host_is_refused(hosts: Hosts) -> None:
    driver = gluster(replace(COPIES, options={"owner": "oned"}), hosts)
    for number, name in enumerate(NAMES):
        told(hosts, "useradd", "-u", str(4081 + (number == 1)), "-g", "root", "oned", name=name)
    before = state(hosts)
    with pytest.raises(Refused, match=r"belongs to 4081:root on h2, not to oned:root: accounts have other numbers"):
        hosts.run((*driver.set_up(), *driver.same_directory("5e1f0b")))
    assert state(hosts) == before
    for name in NAMES:
        told(hosts, "userdel", "oned", name=name)


def test_a_host_comes_as_a_client_and_goes(hosts: Hosts) -> None:
    with set_up(replace(COPIES, hosts=NAMES[:2], options={"set_size": 2}), hosts) as made:
        more = replace(made.driver, hosts=NAMES)
        approved(hosts, (Stage("storage host", more.serve()), Stage("hosts", more.activate("h3"))))
        told(hosts, "touch", f"{more.base}/seen", name="h1")
        assert told(hosts, "ls", more.base, name="h3") == "seen\n"
        approved(hosts, (Stage("hosts", more.deactivate("h3")), Stage("storage host", made.driver.serve())))
        assert more.base not in told(hosts, "cat", "/etc/fstab", name="h3")


def changed(case: BrickCase, driver: GlusterDriver, after: list[PlacedBrick], **params: object) -> Plan:
    """Return the stages of a job on the bricks, which makes them these."""
    sides = {"before": plain(driver.bricks), "after": plain(after), "silent": [], **params}
    return case.stages(Job(params=sides), driver)


def test_bricks_come_and_go_as_approved_while_the_volume_is_in_use(hosts: Hosts) -> None:
    rig = replace(COPIES, options={"layout": "distribute"})
    with set_up(replace(rig, hosts=NAMES[:2]), hosts) as made:
        two = made.driver
        assert isinstance(two, GlusterDriver)
        base = two.base
        told(hosts, "sh", "-c", f"cd {base} && for i in $(seq 40); do head -c 100000 /dev/urandom > f$i; done")
        before = told(hosts, "sh", "-c", f"cd {base} && sha256sum *")
        three = gluster(rig, hosts)
        third = three.bricks[2]
        two = replace(two, hosts=NAMES)
        hosts.run([*two.serve(), *two.activate("h3")])
        approved(hosts, changed(BricksAdd(), two, [*two.bricks, third]))
        assert "10.77" in told(hosts, "grep", "backup-volfile-servers=.*:.*", "/etc/fstab", name="h3")
        approved(hosts, VolumeRebalance().stages(Job(params={"files": True, "after": ""}), three))
        assert int(told(hosts, "sh", "-c", f"find {third.brick.path} -name 'f*' -size +0 | wc -l", name="h3")) > 3
        seen = VolumeKnown("h1", three.volume)
        found = seen.facts(hosts.shell("h1").run_many(seen.reads()))
        assert found.balance and found.balance.files > 3 and found.problems == ()
        approved(hosts, changed(BricksRemove(), three, list(two.bricks), clear=True))
        assert told(hosts, "sh", "-c", f"cd {base} && sha256sum *") == before
        assert third.brick.peer not in told(hosts, "gluster", "pool", "list")
        assert not any(hosts.needs(*(step for name in NAMES for step in two.keeps(name))))
        hosts.run([*two.deactivate("h3"), *made.driver.serve()])


def test_a_brick_takes_the_place_of_another_and_is_healed(store: Store) -> None:
    hosts, driver = store.hosts, gluster(ARBITER, store.hosts)
    gold = store.image(1)
    hosts.run(driver.create(gold))
    store.write(gold, 0x5A)
    old = driver.bricks[1]
    new = PlacedBrick("h2", replace(old.brick, path="/srv/xfs/vms2"))
    approved(hosts, changed(BrickReplace(), driver, [driver.bricks[0], new, driver.bricks[2]], clear=True))
    assert told(hosts, "find", "/srv/xfs", "-maxdepth", "1", "-name", "vms*", name="h2") == "/srv/xfs/vms2\n"
    after = replace(driver, bricks=(driver.bricks[0], new, driver.bricks[2]))
    assert not any(hosts.needs(*(step for name in NAMES for step in after.keeps(name))))
    approved(hosts, changed(BrickReplace(), after, list(driver.bricks), clear=True))
    assert store.holds(gold, 0x5A)
    hosts.run(driver.delete_image(gold))


def test_disks_outlive_a_brick_that_dies_while_they_are_written(store: Store) -> None:
    hosts, driver = store.hosts, gluster(ARBITER, store.hosts)
    gold, disk = store.image(1), store.disk(7)
    hosts.run([*driver.create(gold), *driver.prepare(gold)])
    store.write(gold, 0x5A)
    hosts.run(store.disk_of(gold, disk))
    pid = f"/run/gluster/vols/{driver.volume}/{driver.peers['h2']}{ARBITER.bricks.replace('/', '-')}.pid"
    writes = [part for at in range(1, 40) for part in ("-c", f"write -P 195 {at}M 1M")]
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(told, hosts, "qemu-io", "-f", "qcow2", *writes, disk.path)
        told(hosts, "pkill", "-F", pid, name="h2")
        assert "failed" not in writing.result(60)
    assert hosts.needs(BricksRunning("h1", driver.volume)) == [True]
    assert store.holds(disk, 195, 39 << 20) and store.holds(disk, 0x5A)
    hosts.run([BricksRunning("h1", driver.volume), VolumeHealed("h1", driver.volume)])
    names = driver.disk_path(7, 0).removeprefix(driver.base)
    sums = {told(hosts, "sha256sum", f"{ARBITER.bricks}{names}", name=name).split()[0] for name in ("h1", "h2")}
    assert len(sums) == 1
    hosts.run([*driver.delete(disk), *driver.delete_image(gold)])


def test_a_volume_stops_when_nobody_uses_it_and_hosts_reach_it_when_it_has_started(store: Store) -> None:
    hosts, driver = store.hosts, gluster(ARBITER, store.hosts)
    file = f"{driver.base}/kept"
    told(hosts, "sh", "-c", 'echo kept >"$1"', "sh", file)
    told(hosts, "systemd-run", "--unit=reader", "tail", "-f", file, name="h2")
    with pytest.raises(Refused, match="on h2 is in use: tail"):
        hosts.run(VolumeStop().stages(Job(), driver))
    told(hosts, "systemctl", "stop", "reader", name="h2")
    hosts.run(VolumeStop().stages(Job(), driver))
    seen = VolumeKnown("h1", driver.volume)
    assert seen.facts(hosts.shell("h1").run_many(seen.reads())).problems[0].startswith("The volume is stopped")
    hosts.run(VolumeStart().stages(Job(), driver))
    for name in NAMES:
        hosts.lab.host(name).run(["sh", "-c", f"until cat {file}; do sleep 0.2; done"], seconds=30, check=True)
    told(hosts, "rm", file)

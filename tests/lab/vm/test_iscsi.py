"""Volumes of LVM served by tgt and by LIO on h1; the kernel of h2 is logged in to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from datastores.domain.errors import Refused
from datastores.domain.iscsi import Account, Lun, Portal, make_chap_secret
from datastores.domain.plan import AnyStep, Stage
from datastores.domain.volumes import Format, Volume
from datastores.drivers.initiators import initiating
from datastores.drivers.registry import make_driver
from datastores.hosts import actions, lio, tgt
from datastores.hosts.chap import SecretPresent
from datastores.hosts.initiator_names import InterfaceNamed
from datastores.hosts.lio import LioTargetGone, LioTargetServed
from datastores.hosts.lvm_contents import VolumeFilled
from datastores.hosts.lvm_groups import GroupReady, PoolReady
from datastores.hosts.open_iscsi import NOTHING_FOUND, SessionClosed, SessionOpen
from datastores.hosts.secret_files import secret_digest
from datastores.hosts.services import ServiceRunning
from datastores.hosts.tgt_targets import TargetGone, TargetServed
from datastores.services.disk_hosts import in_order
from datastores.services.image_making import inspecting
from tests.lab.carrying import Hosts, connected
from tests.lab.disks import MIB
from tests.lab.machine import wait_until
from tests.lab.test_approved_plans import approved
from tests.lab.test_kinds_conform import cut_anywhere
from tests.lab.vm.lab import MachineLab

pytestmark = pytest.mark.vm

SIZE = 16 * MIB
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"
INITIATOR = "iqn.2013-10.org.opennebula:h2"
SECRET = make_chap_secret()
ACCOUNT = Account(f"cloudstore-vm-{secret_digest(SECRET)[:6]}", "vm", secret_digest(SECRET))
AUTHORIZATION_FAILURE = 24  # iscsiadm(8), EXIT STATUS: ISCSI_ERR_LOGIN_AUTH_FAILED


def told(machines: Hosts, name: str, *argv: str) -> str:
    done = machines.lab.host(name).run(argv)
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server(machines: Hosts) -> Hosts:
    """h1 has two volumes."""
    machines.there_and_back(GroupReady("h1", "vg-one", ("/dev/vdb",)), PoolReady("h1", "vg-one", "pool"))
    machines.run([VolumeFilled("h1", "vg-one", name, SIZE, "pool") for name in ("tgt", "lio")])
    return machines


def lun(machines: Hosts, name: str) -> Lun:
    address = str(machines.lab.host("h1").address)
    return Lun(Portal(address), f"iqn.2013-10.org.opennebula:h1.vg-one.{name}")


def known() -> Sequence[AnyStep]:
    return tuple(SecretPresent(name, ACCOUNT, SECRET) for name in ("h1", "h2"))


def by_tgt(machines: Hosts) -> Sequence[AnyStep]:
    found, address = lun(machines, "tgt"), str(machines.lab.host("h2").address)
    served = TargetServed("h1", found.iqn, "/dev/vg-one/tgt", SIZE, (address,), ACCOUNT)
    return ServiceRunning("h1", tgt.SERVICE), *known(), served, SessionOpen("h2", found, "", ACCOUNT)


def by_lio(machines: Hosts) -> Sequence[AnyStep]:
    found = lun(machines, "lio")
    served = LioTargetServed("h1", found.iqn, "/dev/vg-one/lio", (INITIATOR,), ACCOUNT, found.portal.address)
    named = InterfaceNamed("h2", "cloudstore", INITIATOR)
    session = SessionOpen("h2", found, "cloudstore", ACCOUNT)
    return ServiceRunning("h1", lio.SERVICE), *known(), served, named, session


def is_used(machines: Hosts, found: Lun) -> bool:
    """Write through the device of h2, and tell whether it has the size of the volume."""
    told(machines, "h2", "qemu-io", "-f", "raw", "-c", "write -P 7 1M 1M", found.device)
    said = told(machines, "h2", "qemu-io", "-r", "-f", "raw", "-c", "read -P 7 1M 1M", "-c", "length", found.device)
    return "Pattern verification failed" not in said and "16 MiB" in said


def test_a_host_logs_in_to_tgt_there_and_back(server: Hosts) -> None:
    service, *steps = by_tgt(server)
    server.run([service])
    server.there_and_back(*steps)
    assert is_used(server, lun(server, "tgt"))
    with pytest.raises(Refused, match="is in use by"):
        server.run([TargetGone("h1", lun(server, "tgt").iqn)])
    told(server, "h2", "dmsetup", "create", "held", "--table", f"0 2048 linear {lun(server, 'tgt').device} 0")
    with pytest.raises(Refused, match=r"held \(dm\) stands on"):
        server.run([SessionClosed("h2", lun(server, "tgt"), "", ACCOUNT)])
    told(server, "h2", "dmsetup", "remove", "held")


def test_a_host_that_does_not_know_the_secret_is_not_let_in(server: Hosts) -> None:
    found, node = lun(server, "tgt"), ("iscsiadm", "-m", "node", "-T", lun(server, "tgt").iqn)
    server.run([*by_tgt(server), SessionClosed("h2", found, "", ACCOUNT)])
    told(server, "h2", *node, "-p", str(found.portal), "-o", "new")
    refused = server.lab.host("h2").run([*node, "-p", str(found.portal), "--login"])
    assert refused.returncode == AUTHORIZATION_FAILURE, refused.stderr
    told(server, "h2", *node, "-p", str(found.portal), "-o", "delete")
    server.run(by_tgt(server))


@pytest.fixture
def appliance(server: Hosts) -> Iterator[Lun]:
    """The first of two LUNs of a target that was made by hand on h1."""
    found, files = lun(server, "appliance"), ("/var/tmp/1", "/var/tmp/2")
    told(server, "h1", "truncate", "-s", str(SIZE), *files)
    backing = "".join(f"  backing-store {each}\n" for each in files)
    server.lab.host("h1").run(
        ["dd", "of=/etc/tgt/conf.d/appliance.conf"], stdin=f"<target {found.iqn}>\n{backing}</target>\n"
    )
    server.run([ServiceRunning("h1", tgt.SERVICE)])
    told(server, "h1", "tgt-admin", "--update", found.iqn)
    yield found
    told(server, "h1", "rm", "/etc/tgt/conf.d/appliance.conf", *files)
    told(server, "h1", "tgt-admin", "--delete", found.iqn)


def sessions_of_others(machines: Hosts, found: Lun) -> tuple[AnyStep, AnyStep]:
    left = "/srv/nas/7/disk.0"
    told(machines, "h2", "mkdir", "-p", "/srv/nas/7")
    closed = SessionClosed("h2", found, "", foreign=True, among="/srv/nas", leaving=left)
    return SessionOpen("h2", found, "", foreign=True), closed


def left(machines: Hosts, found: Lun) -> str:
    """Return what is left of a session on h2: links to its devices, and marks."""
    places, names = ("/dev/disk/by-path", "/var/lib/cloudstore/sessions"), f"*-{found.iqn}-*"
    return told(machines, "h2", "find", *places, "-name", names, "-o", "-type", "f")


def test_a_session_at_an_appliance_stays_while_somebody_else_uses_another_lun(server: Hosts, appliance: Lun) -> None:
    opened, closed = sessions_of_others(server, appliance)
    server.there_and_back(opened)
    other = replace(appliance, number=2).device
    told(server, "h2", "dmsetup", "create", "held", "--table", f"0 2048 linear {other} 0")
    assert server.needs(closed) == [False]
    told(server, "h2", "dmsetup", "remove", "held")
    server.there_and_back(closed)
    assert left(server, appliance) == ""


def test_a_worker_that_dies_between_any_two_actions_leaves_a_session_that_is_known_as_ours(
    server: Hosts, appliance: Lun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "is_short", lambda action: False)
    opened, closed = sessions_of_others(server, appliance)
    assert cut_anywhere(server, lambda number: [opened], lambda number: server.run([closed])) > 3
    server.run([opened])
    assert cut_anywhere(server, lambda number: [closed], lambda number: server.run([opened])) > 3
    server.run([closed])
    assert left(server, appliance) == ""
    assert server.lab.host("h2").run(["iscsiadm", "-m", "node", "-T", appliance.iqn]).returncode == NOTHING_FOUND


def test_a_session_that_somebody_else_began_at_an_appliance_is_left(server: Hosts, appliance: Lun) -> None:
    opened, closed = sessions_of_others(server, appliance)
    node = "iscsiadm", "-m", "node", "-T", appliance.iqn, "-p", str(appliance.portal)
    told(server, "h2", *node, "-o", "new")
    server.there_and_back(opened)
    server.there_and_back(closed)  # the session is ours, the record is not
    assert "node.startup = manual" in told(server, "h2", *node)
    told(server, "h2", *node, "--login")
    wait_until(lambda: server.needs(opened) == [False], seconds=30, otherwise="It has no device.")
    assert server.needs(closed) == [False]
    told(server, "h2", *node, "--logout")
    told(server, "h2", *node, "-o", "delete")


def test_what_is_approved_of_disks_and_images_is_what_is_done(server: Hosts) -> None:
    addresses = {name: str(server.lab.host(name).address) for name in ("h1", "h2")}
    store = make_driver(
        "iscsi", host="h1", base="/srv/ds", hosts=("h1", "h2"), locate=addresses.__getitem__, secret=SECRET
    )
    server.run(store.set_up())
    gold, disk = (
        Volume(path, Format.RAW, SIZE) for path in (store.image_path(UUID, Format.RAW), store.disk_path(7, 0))
    )
    told(server, "h1", "truncate", "-s", str(SIZE), "/var/tmp/gold.raw")
    new = Stage("copy", store.import_file("/var/tmp/gold.raw", replace(gold, virtual_size=0)))
    approved(server, new, *inspecting(store, gold))
    attached = in_order("attach", store.attach(disk, "h2", "/srv/ds/7/disk.0"))
    approved(server, Stage("disk", store.clone(gold, disk)), *attached)
    told(server, "h2", "qemu-io", "-f", "raw", "-c", "write -P 7 1M 1M", "/srv/ds/7/disk.0")
    detached = in_order("detach", store.detach(disk, "h2", "/srv/ds/7/disk.0"))
    approved(server, *detached, Stage("delete", store.delete(disk)))
    approved(server, Stage("snapshot", store.snapshot(gold, "one")))
    sums = []
    for pattern in (7, 8):
        told(server, "h1", "qemu-io", "-f", "raw", "-c", f"write -P {pattern} 1M 1M", gold.path)
        run = approved(server, Stage("checksum", store.checksum(gold)))
        sums.append(run.facts[1])
    approved(server, Stage("revert", store.revert(gold, "one")))
    sums.append(approved(server, Stage("checksum", store.checksum(gold))).facts[1])
    assert len(set(sums)) == 3 and sums[-1] == told(server, "h1", "sha256sum", "/var/tmp/gold.raw").split()[0]
    approved(server, Stage("delete", store.delete_image(gold, ("one",))))
    assert told(server, "h1", "find", "/srv/ds", "-mindepth", "1", "-printf", "%P ") == "luns "
    assert told(server, "h2", "find", "/srv/ds", "-mindepth", "1") == ""


def test_a_host_logs_in_to_lio_there_and_back(server: Hosts) -> None:
    service, *steps = by_lio(server)
    told(server, "h1", "systemctl", "disable", "--now", tgt.SERVICE)  # both listen at the same port
    server.run([service])
    server.there_and_back(*steps)
    assert is_used(server, lun(server, "lio"))
    with pytest.raises(Refused, match="is in use by"):
        server.run([LioTargetGone("h1", lun(server, "lio").iqn)])
    listening = told(server, "h1", "ss", "-Htln", "sport = :3260")
    assert f"{lun(server, 'lio').portal}" in listening and "0.0.0.0:3260" not in listening


def test_after_a_reboot_of_both_the_host_is_logged_in_again(server: Hosts, machine_lab: MachineLab) -> None:
    told(server, "h1", "systemctl", "disable", "--now", tgt.SERVICE)
    server.run([*initiating("h2", qemu=False), *by_lio(server)])
    for name in ("h1", "h2"):
        machine_lab.host(name).reboot()
    with connected(machine_lab) as machines:
        steps = by_lio(machines)
        wait_until(
            lambda: machines.needs(*steps) == [False] * len(steps), seconds=120, otherwise="It is not logged in again."
        )
        assert is_used(machines, lun(machines, "lio"))
        machines.there_and_back(
            SessionClosed("h2", lun(machines, "lio"), "cloudstore", ACCOUNT),
            LioTargetGone("h1", lun(machines, "lio").iqn, (), ACCOUNT),
        )

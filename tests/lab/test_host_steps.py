"""Every step against real hosts: absent, applied, so, undone, absent again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.keyvalue import Setting
from datastores.domain.plan import AnyStep, Change, Command, Shell, Stage, encode
from datastores.drivers.mounted import MountedDriver
from datastores.drivers.registry import make_driver
from datastores.hosts import sudoers
from datastores.hosts.accounts import GroupHasId, UserHasId
from datastores.hosts.authorized_keys import AuthorizedKeysPresent
from datastores.hosts.facts import HostFacts
from datastores.hosts.files import DirectoryPresent, FileAbsent
from datastores.hosts.journal import Journal, Undoable
from datastores.hosts.mounts import FstabLinePresent, MountPresent
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.reflinks import ReflinkExists
from datastores.hosts.runner import Run
from datastores.hosts.services import ServiceRunning
from datastores.hosts.settings_files import SettingsAre
from datastores.hosts.software import Rights
from datastores.hosts.sudoers import SudoersPresent
from datastores.hosts.undo import take_back
from datastores.transport.endpoint import Endpoint
from datastores.transport.keys import generate_key
from datastores.transport.pool import Pool
from tests.lab.carrying import Diary
from tests.lab.fixtures import HostFactory
from tests.lab.host import Host
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

UNITS = count()


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool() as pool:
        yield pool


@pytest.fixture(scope="module", params=["bookworm", "bullseye", "trixie"])
def host(request: pytest.FixtureRequest, host_factory: HostFactory) -> Host:
    """A fresh host of each release of Debian that people run."""
    made: Host = host_factory(suite=request.param)
    return made


@pytest.fixture(scope="module")
def endpoint(host: Host, lab: Lab) -> Endpoint:
    return Endpoint(host.name, host.address, host_keys=(host.host_key,), private_key=lab.key.read_text())


@pytest.fixture(scope="module")
def shell(pool: Pool, endpoint: Endpoint) -> Shell:
    return pool.shell(endpoint)


def plan(shell: Shell, step: AnyStep) -> Change | None:
    return step.plan(step.facts(shell.run_many(step.reads())))


def run(shell: Shell, *argv: str, text: str = "") -> str:
    output = shell.run(Command(argv, stdin=encode(text)))
    if not output.ok:
        raise CommandFailed(argv, output.exit_status, output.stderr, shell.host)
    return output.stdout


def apply(shell: Shell, step: AnyStep) -> tuple[Undoable, ...]:
    """Carry the step out as a job does: planned, done, verified. Return what was done."""
    work = Run((Stage("work", (step,)),), lambda _: shell, Diary(), unit=f"cloudstore-test-{next(UNITS)}")
    work.carry_out()
    done = work.ledger.balance().done
    assert done, f"{step.title}: was so already"
    return done


def there_and_back(shell: Shell, step: AnyStep) -> None:
    """Apply and undo; afterwards the very same change is needed again."""
    before, back = plan(shell, step), Diary()
    assert take_back(Journal(apply(shell, step)), lambda: [step], [0], lambda _: shell, back), back.errors
    assert plan(shell, step) == before
    apply(shell, step)


def test_accounts(shell: Shell) -> None:
    name = shell.host
    there_and_back(shell, GroupHasId(name, "cloud", 4001))
    there_and_back(shell, UserHasId(name, "oneadmin", 4001, "cloud", "/srv/cloud/one", groups=("disk",)))
    there_and_back(shell, UserHasId(name, "oneadmin", 4001, "cloud", "/srv/cloud/one", "/bin/sh", ("kmem", "disk")))
    with pytest.raises(Refused, match="belongs to the account oneadmin already"):
        plan(shell, UserHasId(name, "other", 4001, "cloud", "/srv/cloud/one"))
    with pytest.raises(Refused, match="has the number 4001, not 4002"):
        plan(shell, GroupHasId(name, "cloud", 4002))


def test_an_account_with_a_group_of_its_name_leaves_the_group_when_undone(shell: Shell) -> None:
    apply(shell, GroupHasId(shell.host, "nova", 4064))
    run(shell, "install", "-d", "/srv/nova")
    run(shell, "install", "-g", "nogroup", "/dev/null", "/srv/nova/of-nobody")
    run(shell, "install", "-g", "nova", "/dev/null", "/srv/nova/of-nova")
    there_and_back(shell, UserHasId(shell.host, "nova", 4064, "nova", "/srv/nova"))
    assert "nova:x:4064:" in run(shell, "getent", "group", "nova")
    assert run(shell, "stat", "-c", "%G", "/srv/nova/of-nobody", "/srv/nova/of-nova") == "nogroup\nnova\n"


def test_of_an_account_that_is_there_a_datastore_says_number_and_group_alone(shell: Shell) -> None:
    options = {"owner": "oned", "owner_id": 4071, "group": "oned", "group_id": 4071}
    store = make_driver("nfs", host="nas", base="/srv/owned", hosts=("nas", shell.host), options=options)
    assert isinstance(store, MountedDriver)
    group, account = store.accounts(shell.host)
    there_and_back(shell, group)
    there_and_back(shell, account)
    assert run(shell, "getent", "passwd", "oned") == "oned:x:4071:4071::/nonexistent:/usr/sbin/nologin\n"
    run(shell, "usermod", "-d", "/var/lib/one", "-s", "/bin/bash", "oned")
    assert plan(shell, account) is None
    there_and_back(shell, DirectoryPresent(shell.host, "/srv/owned", "oned", "oned"))


def test_directories(shell: Shell) -> None:
    name = shell.host
    there_and_back(shell, DirectoryPresent(name, "/srv/dirs/a b/ü"))
    assert run(shell, "stat", "-c", "%a %U", "/srv/dirs", "/srv/dirs/a b") == "755 root\n755 root\n"
    there_and_back(shell, DirectoryPresent(name, "/srv/dirs/a b/ü", "ops", "ops", "2770"))
    run(shell, "install", "/dev/null", "/srv/dirs/file")
    with pytest.raises(Refused, match="is a file, not a directory"):
        plan(shell, DirectoryPresent(name, "/srv/dirs/file"))


def test_files_and_links_are_deleted(shell: Shell) -> None:
    name = shell.host
    run(shell, "install", "-d", "/srv/images")
    run(shell, "dd", "of=/srv/images/1", "status=none", text="an image")
    run(shell, "ln", "-s", "/srv/images/1", "/srv/images/link")
    there_and_back(shell, FileAbsent(name, "/srv/images/link", "/srv/images"))
    run(shell, "ln", "-s", "/etc", "/srv/images/out")
    with pytest.raises(Refused, match="is really /etc"):
        plan(shell, FileAbsent(name, "/srv/images/out/passwd", "/srv/images"))
    change = plan(shell, FileAbsent(name, "/srv/images/1", "/srv/images"))
    assert change
    assert "a file of 8 B is lost" in change.summary
    assert [done.undo for done in apply(shell, FileAbsent(name, "/srv/images/1", "/srv/images"))] == [None]
    assert plan(shell, FileAbsent(name, "/srv/images/1", "/srv/images")) is None


def test_what_is_unmounted_meanwhile_is_not_made_anew(shell: Shell) -> None:
    run(shell, "install", "-d", "/srv/ds")
    run(shell, "install", "/dev/null", "/srv/ds/a.raw")
    step = ReflinkExists(shell.host, "/srv/ds/a.raw", "/srv/ds/7/disk.0", with_directory=True)
    change = plan(shell, step)
    assert change
    run(shell, "mv", "/srv/ds", "/srv/gone")
    make = change.actions[0].do
    assert isinstance(make, Command)
    assert not shell.run(make).ok
    assert run(shell, "ls", "/srv").split().count("ds") == 0
    run(shell, "mv", "/srv/gone", "/srv/ds")
    assert shell.run(make).ok and shell.run(make).ok, "two disks of one machine may be made at once"
    assert run(shell, "stat", "-c", "%F", "/srv/ds/7") == "directory\n"


def test_settings(shell: Shell) -> None:
    text = "[General]\n\nVerbosity = 0\n# Domain = localdomain\n\n[Mapping]\n\nNobody-User = nobody\n"
    run(shell, "install", "-m", "0640", "-o", "ops", "-g", "ops", "/dev/null", "/etc/idmapd.conf")
    run(shell, "dd", "of=/etc/idmapd.conf", "conv=notrunc", "status=none", text=text)
    settings = (Setting("Domain", "cloud.example", "General"), Setting("Nobody-Group", "nogroup", "Mapping"))
    there_and_back(shell, SettingsAre(shell.host, "/etc/idmapd.conf", settings))
    assert run(shell, "stat", "-c", "%U %a", "/etc/idmapd.conf") == "ops 640\n"
    assert "# Domain = localdomain\nDomain = cloud.example\n" in run(shell, "cat", "/etc/idmapd.conf")


def test_mounts(shell: Shell) -> None:
    name = shell.host
    there_and_back(shell, FstabLinePresent(name, "tmpfs", "/srv/my mount", "tmpfs", "size=1048576,noexec"))
    assert run(shell, "findmnt", "-n", "--fstab", "-o", "FSTYPE", "/srv/my mount") == "tmpfs\n"
    there_and_back(shell, FstabLinePresent(name, "tmpfs", "/srv/my mount", "tmpfs", "size=1048576,nodev"))
    run(shell, "install", "-d", "/srv/my mount")
    mount = MountPresent(name, "tmpfs", "/srv/my mount", "tmpfs", "size=1048576,noexec")
    there_and_back(shell, mount)
    with pytest.raises(Refused, match="mounted writable"):
        plan(shell, replace(mount, options="ro"))
    with pytest.raises(Refused, match=r"tmpfs \(tmpfs\) is mounted at /srv/my mount"):
        plan(shell, MountPresent(name, "nfs1:/storage", "/srv/my mount", "nfs4"))
    run(shell, "umount", "/srv/my mount")
    run(shell, "install", "/dev/null", "/srv/my mount/forgotten")
    with pytest.raises(Refused, match="/srv/my mount/forgotten and perhaps more"):
        plan(shell, mount)


def test_a_device_is_known_by_its_other_names(lab: Lab, pool: Pool) -> None:
    host = lab.host("h1")
    found = pool.shell(Endpoint(host.name, host.address, host_keys=(host.host_key,), private_key=lab.key.read_text()))
    systems = {system.target: system for system in HostFacts.of(found).file_systems}
    device = systems["/srv/xfs"].source
    assert plan(found, MountPresent(host.name, device, "/srv/xfs", "xfs")) is None
    uuid = run(found, "blkid", "-o", "value", "-s", "UUID", device).strip()
    assert plan(found, MountPresent(host.name, f"UUID={uuid}", "/srv/xfs", "xfs")) is None
    with pytest.raises(Refused, match=f"{device} .xfs. is mounted at /srv/xfs"):
        plan(found, MountPresent(host.name, systems["/srv/btrfs"].source, "/srv/xfs", "xfs"))


def test_services(shell: Shell) -> None:
    unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    running = ServiceRunning(shell.host, "lab-sleep.service")
    wanted = plan(shell, running)
    run(shell, "dd", "of=/etc/systemd/system/lab-sleep.service", "status=none", text=unit)
    run(shell, "systemctl", "daemon-reload")
    assert plan(shell, running) == wanted
    there_and_back(shell, running)
    run(shell, "systemctl", "disable", "--now", running.unit)
    run(shell, "rm", "/etc/systemd/system/lab-sleep.service")
    run(shell, "systemctl", "mask", running.unit)
    with pytest.raises(Refused, match="is masked"):
        plan(shell, running)


def offer_package(shell: Shell, name: str) -> None:
    """Make a package, and a repository of this one package that is all that apt knows."""
    control = f"Package: {name}\nVersion: 1.0-1\nArchitecture: all\nMaintainer: lab <lab@example>\nDescription: lab\n"
    run(shell, "install", "-d", "/srv/repository", f"/srv/{name}/DEBIAN", f"/srv/{name}/etc")
    run(shell, "dd", f"of=/srv/{name}/DEBIAN/control", text=control)
    run(shell, "dd", f"of=/srv/{name}/DEBIAN/conffiles", text=f"/etc/{name}.conf\n")
    run(shell, "dd", f"of=/srv/{name}/etc/{name}.conf", text="of the package\n")
    run(shell, "dpkg-deb", "--build", f"/srv/{name}", "/srv/repository/lab.deb")
    contents = base64.b64decode(run(shell, "base64", "/srv/repository/lab.deb"))
    index = f"{control}Filename: ./lab.deb\nSize: {len(contents)}\nSHA256: {hashlib.sha256(contents).hexdigest()}\n"
    run(shell, "dd", "of=/srv/repository/Packages", text=index)
    run(shell, "dd", "of=/etc/apt/sources.list", text="deb [trusted=yes] file:/srv/repository ./\n")


def test_packages(shell: Shell) -> None:
    offer_package(shell, "lab-thing")
    run(shell, "dd", "of=/etc/lab-thing.conf", text="of an administrator\n")
    assert {done.undo for done in apply(shell, PackageInstalled(shell.host, "lab-thing"))} == {None}
    assert run(shell, "cat", "/etc/lab-thing.conf") == "of an administrator\n"
    run(shell, "dpkg", "--remove", "lab-thing")  # its configuration stays
    assert plan(shell, PackageInstalled(shell.host, "lab-thing"))
    with pytest.raises(CommandFailed, match="Unable to locate package no-such-package"):
        apply(shell, PackageInstalled(shell.host, "no-such-package"))


def test_keys_let_people_in(shell: Shell, pool: Pool, endpoint: Endpoint) -> None:
    private, public = generate_key()
    apply(shell, DirectoryPresent(shell.host, "/home/keyed", "root", "root", "0755"))
    keys = AuthorizedKeysPresent(shell.host, "keyed", (f"{public} from a test",))
    with pytest.raises(Refused, match="There is no account keyed"):
        plan(shell, keys)
    apply(shell, GroupHasId(shell.host, "keyed", 4100))
    apply(shell, UserHasId(shell.host, "keyed", 4100, "keyed", "/home/keyed"))
    there_and_back(shell, keys)
    more = replace(keys, public_keys=(public, generate_key()[1]))
    there_and_back(shell, more)
    assert len(run(shell, "cat", "/home/keyed/.ssh/authorized_keys").splitlines()) == 2
    theirs = pool.shell(replace(endpoint, account="keyed", private_key=private))
    assert theirs.run(Command(("id", "-un"), root=False)).stdout == "keyed\n"


def test_an_account_becomes_able_to_carry_out_steps(shell: Shell, pool: Pool, endpoint: Endpoint) -> None:
    ops = pool.shell(replace(endpoint, account="ops", private_key="", password="ops-pass"))
    assert HostFacts.of(ops).rights is Rights.NONE
    there_and_back(shell, SudoersPresent(shell.host, "ops"))
    assert HostFacts.of(ops).rights is Rights.SUDO
    there_and_back(ops, DirectoryPresent(shell.host, "/srv/by ops", "ops", "ops", "0700"))
    run(ops, "dd", "of=/etc/sudoers.d/cloudstore-ops", text="# nothing any more\n")
    there_and_back(shell, SudoersPresent(shell.host, "ops"))
    assert "cloudstore-ops.new" not in run(ops, "ls", "/etc/sudoers.d")


def test_what_visudo_does_not_accept_never_becomes_active(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sudoers, "sudoers_text", lambda account: f"{account} ALL=(ALL) NOPASSWD ALL\n")
    before = run(shell, "ls", "/etc/sudoers.d")
    with pytest.raises(CommandFailed, match="visudo"):
        apply(shell, SudoersPresent(shell.host, "admin1"))
    assert run(shell, "ls", "/etc/sudoers.d") == before
    run(shell, "sudo", "-n", "true")


def test_facts_are_those_of_the_host(shell: Shell, host: Host) -> None:
    facts = HostFacts.of(shell)
    assert facts.problems == ()
    assert (facts.name, facts.os, facts.rights) == (host.name, "debian", Rights.ROOT)
    assert facts.os_version == {"bookworm": "12", "bullseye": "11", "trixie": "13"}[host.record.suite]
    assert [nic.addresses for nic in facts.nics] == [(f"{host.address}/24",)]
    assert facts.machine_id == run(shell, "cat", "/etc/machine-id").strip()
    assert "qemu-img" in {tool.name for tool in facts.tools if tool.version}
    assert HostFacts.from_json(facts.to_json()) == facts

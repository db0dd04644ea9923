"""A directory of a host moves onto a datastore and comes back: everything of it is kept, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Plan, Stage
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.open_files import DirectoryAtRest
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.services import ServiceStarted, ServiceStopped
from datastores.hosts.tree_links import DirectoryBack, DirectoryLinked
from datastores.hosts.trees import TreeCopied, TreeGone
from datastores.hosts.trials import TrialsSwept
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.fixtures import SUITE
from tests.lab.lab import Lab
from tests.lab.test_approved_plans import approved

pytestmark = pytest.mark.lab
hosts = places.hosts
HOST, STORE, PATH, TOKEN, UNIT = "h42", "/srv/xfs", "/var/lib/one", "0d5c5e4e", "lab-one.service"
TARGET, KEPT, ANEW = f"{STORE}/one", f"{PATH}.cloudstore-before", f"{PATH}.cloudstore-new"
SERVICE = f"[Service]\nWorkingDirectory={PATH}\nExecStart=/bin/sleep infinity\n"
FILL = f"""set -e
install -d -o admin1 -g ops -m 2750 {PATH}/datastores/0/7
cd {PATH}/datastores/0/7
dd if=/dev/urandom of=disk.0 bs=64K count=9 status=none
truncate -s 300M disk.1; printf end | dd of=disk.1 bs=1 seek=200M conv=notrunc status=none
ln disk.0 hard; ln -s disk.0 soft; mkfifo fifo; touch -d 2001-02-03 old; touch "a b
c"
chown admin1:ops disk.0; chmod 4755 old
setfattr -n user.kept -v yes disk.0; setfacl -m u:ops:r disk.1
"""
TELL = f"""set -e
cd -P {PATH}/.
find . -type d -printf '%p %y %m %U %G %T@\\n' -o -printf '%p %y %m %U %G %s %n %T@ %l\\n' | sort
getfattr -R -d -m '^user[.]' . | sort
getfacl -R . | sort
"""


class PowerCut(BaseException):
    """The worker is gone, at once: nobody takes anything back."""


def told(hosts: Hosts, *argv: str, stdin: str = "") -> str:
    return hosts.lab.host(HOST).run(argv, stdin=stdin, check=True).stdout


@pytest.fixture(scope="module", autouse=True)
def fitted(lab: Lab) -> Iterator[None]:
    """A host that has rsync, and disks."""
    lab.up(1, first=42, suite=SUITE, packages="tools", with_disks=[HOST])
    yield
    lab.down([HOST])


@pytest.fixture
def described(hosts: Hosts) -> Iterator[str]:
    """All that is to be said of a directory in use, with a service in it."""
    yield made(hosts)
    told(hosts, "systemctl", "stop", UNIT)
    clear(hosts)


def made(hosts: Hosts) -> str:
    """Make the directory anew, with its service, and describe it."""
    hosts.lab.host(HOST).run(["systemctl", "stop", UNIT])
    clear(hosts)
    told(hosts, "sh", "-c", FILL)
    told(hosts, "dd", f"of=/etc/systemd/system/{UNIT}", "status=none", stdin=SERVICE)
    told(hosts, "systemctl", "daemon-reload")
    told(hosts, "systemctl", "start", UNIT)
    return told(hosts, "sh", "-c", TELL)


def clear(hosts: Hosts) -> None:
    told(hosts, "sh", "-c", f"rm -rf {PATH} {PATH}.* {TARGET} {TARGET}.* /run/cloudstore-*")


def moving(source: str, target: str, switch: DirectoryLinked | DirectoryBack) -> Plan:
    """The plan of ``directory.move`` and of ``directory.return``."""
    rest = DirectoryAtRest(HOST, source, (UNIT,))
    return (
        Stage("tools", (PackageInstalled(HOST, "rsync"),)),
        Stage("stop services", (ServiceStopped(HOST, UNIT),)),
        Stage("copy", (BaseReady(HOST, STORE), rest, TreeCopied(HOST, source, target, PATH, TOKEN))),
        Stage("switch", (rest, switch)),
        Stage("start services", (ServiceStarted(HOST, UNIT),)),
        Stage("clean up", (TrialsSwept(HOST, STORE, TOKEN),)),
    )


THERE = moving(PATH, TARGET, DirectoryLinked(HOST, PATH, TARGET, KEPT))
BACK = moving(TARGET, ANEW, DirectoryBack(HOST, PATH, TARGET, ANEW))


def changed(hosts: Hosts, described: str) -> list[str]:
    """Return what is described otherwise now; the service has to run."""
    told(hosts, "systemctl", "is-active", "--quiet", UNIT)
    return sorted(set(described.splitlines()) ^ set(told(hosts, "sh", "-c", TELL).splitlines()))


def test_it_moves_and_leaves_a_link_and_comes_back(hosts: Hosts, described: str) -> None:
    hosts.run(THERE)
    assert told(hosts, "readlink", PATH) == f"{TARGET}\n"
    assert changed(hosts, described) == []
    again = Diary()
    hosts.run(TreeGone(HOST, name, PATH) for name in (KEPT,))
    hosts.run(THERE[-1:], diary=again)
    told(hosts, "sh", "-c", f"echo new > {PATH}/since")
    later = told(hosts, "sh", "-c", TELL)
    hosts.run(BACK)
    assert told(hosts, "stat", "-c", "%F", PATH) == "directory\n"
    assert changed(hosts, later) == []
    hosts.run([TreeGone(HOST, TARGET, PATH)])
    assert told(hosts, "find", "/var/lib", STORE, "/run", "-maxdepth", "1", "-name", "*cloudstore-*") == ""


def test_the_plan_that_was_shown_is_what_is_done(hosts: Hosts, described: str) -> None:
    approved(hosts, *THERE)
    assert told(hosts, "readlink", PATH) == f"{TARGET}\n"
    approved(hosts, *BACK)
    assert changed(hosts, described) == []


def test_holes_take_no_room(hosts: Hosts, described: str) -> None:
    hosts.run(THERE)
    assert int(told(hosts, "du", "-s", "-B1M", TARGET).split()[0]) < 20


@pytest.mark.parametrize("plan", [THERE, BACK], ids=["there", "back"])
def test_it_is_taken_back(hosts: Hosts, described: str, plan: Plan) -> None:
    if plan is BACK:
        hosts.run(THERE)
    before = told(hosts, "stat", "-c", "%F %N", PATH)
    hosts.take_back(hosts.run(plan))
    assert told(hosts, "stat", "-c", "%F %N", PATH) == before
    assert changed(hosts, described) == []


def test_what_was_written_since_is_not_taken_away_with_it(hosts: Hosts, described: str) -> None:
    run = hosts.run(THERE)
    told(hosts, "dd", f"of={PATH}/since", "status=none", stdin="written since")
    hosts.take_back(run)
    assert changed(hosts, described) == []
    assert told(hosts, "cat", f"{TARGET}/since") == "written since"


@pytest.mark.parametrize("plan", [THERE, BACK], ids=["there", "back"])
def test_a_worker_that_dies_before_any_action_leaves_a_directory_that_works(
    hosts: Hosts, described: str, plan: Plan
) -> None:
    for cut in range(9):
        if plan is BACK:
            hosts.run(THERE)
        if not die_before(hosts, plan, cut):
            break
        assert told(hosts, "sh", "-c", TELL) == described, f"cut off before action {cut}"
        hosts.run(plan)
        assert changed(hosts, described) == [], f"went on after action {cut}"
        described = made(hosts)
    assert cut == 5, "stop, copy, switch, start, clean up"
    assert changed(hosts, described) == []


def die_before(hosts: Hosts, plan: Plan, number: int) -> bool:
    """Carry the plan out up to an action; tell whether there was one with this number. Then from the beginning."""
    done = 0

    def count(action: Action) -> None:
        nonlocal done
        if done == number:
            raise PowerCut
        done += 1

    try:
        hosts.run(plan, diary=Diary(before_action=count))
    except PowerCut:
        return True
    return False


def test_what_is_open_is_not_moved(hosts: Hosts, described: str) -> None:
    told(hosts, "systemd-run", "--unit=lab-vm", "sh", "-c", f"exec sleep 600 <{PATH}/datastores/0/7/disk.0")
    try:
        with pytest.raises(Refused, match=r"sleep \(lab-vm.service\) has /var/lib/one/datastores/0/7/disk.0 open"):
            hosts.run(THERE)
        assert changed(hosts, described) == []
    finally:
        told(hosts, "systemctl", "stop", "lab-vm")
    with pytest.raises(Refused, match=f"sleep .{UNIT}. has {PATH} open"):
        hosts.run([DirectoryAtRest(HOST, PATH)])


def test_what_is_in_use_is_not_deleted(hosts: Hosts, described: str) -> None:
    hosts.run(THERE)
    with pytest.raises(Refused, match="leads to"):
        hosts.run([TreeGone(HOST, TARGET, PATH)])
    assert changed(hosts, described) == []


def test_what_lies_beside_it_under_a_like_name_stays(hosts: Hosts, described: str) -> None:
    beside = f"{TARGET}.part"
    told(hosts, "sh", "-c", f"mkdir {beside} && echo precious > {beside}/mine")
    hosts.take_back(hosts.run(THERE[:3]))
    hosts.run(THERE)
    assert told(hosts, "cat", f"{beside}/mine") == "precious\n"
    assert changed(hosts, described) == []


def test_a_database_is_found_before_it_comes_onto_a_network_file_system(hosts: Hosts, described: str) -> None:
    copied = TreeCopied(HOST, PATH, TARGET, PATH, TOKEN, network=True)
    assert hosts.needs(copied) == [True]
    told(hosts, "sh", "-c", f"printf 'SQLite format 3' > {PATH}/one.db")
    with pytest.raises(Refused, match="is a database of SQLite"):
        hosts.run([copied])

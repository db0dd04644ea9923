"""CHAP between h1, which serves by tgtd, and h2 and h3: who does not know the secret is not let in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from datastores.domain.errors import Refused
from datastores.domain.iscsi import Account, make_chap_secret
from datastores.domain.plan import AnyStep
from datastores.hosts import tgt
from datastores.hosts.appliances import LunReached, ask_offers, offers
from datastores.hosts.chap import SecretGone, SecretPresent
from datastores.hosts.secret_files import secret_digest
from datastores.hosts.services import ServiceRunning
from datastores.hosts.tgt_targets import TargetGone, TargetRenewed, TargetServed
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.disks import MIB
from tests.lab.kinds import as_account
from tests.lab.machine import wait_until
from tests.lab.places import told
from tests.lab.test_iscsi import found, is_shut_out, lun

pytestmark = pytest.mark.lab

storage_hosts = places.storage_hosts
NAME = "iqn.2013-10.org.opennebula:h1.chap.one"
PLACE = "/srv/plain/chap"
SIZE = 16 * MIB
FIRST, SECOND = make_chap_secret(), make_chap_secret()


def account(secret: str) -> Account:
    return Account(f"cloudstore-test-{secret_digest(secret)[:6]}", "test", secret_digest(secret))


def known(secret: str, *names: str) -> list[AnyStep]:
    return [SecretPresent(name, account(secret), secret) for name in names]


def served(hosts: Hosts, secret: str = "", size: int = SIZE) -> TargetServed:
    """To both; ``secret``: "" for none."""
    addresses = tuple(str(hosts.lab.host(name).address) for name in ("h2", "h3"))
    return TargetServed("h1", NAME, f"{PLACE}/one", size, addresses, account(secret) if secret else None)


@pytest.fixture(scope="module")
def hosts(storage_hosts: Hosts) -> Iterator[Hosts]:
    storage_hosts.run([ServiceRunning("h1", tgt.SERVICE)])
    told(storage_hosts, "mkdir", "-p", PLACE)
    told(storage_hosts, "truncate", "-s", str(SIZE), f"{PLACE}/one")
    yield storage_hosts
    storage_hosts.run([TargetGone("h1", NAME)])
    told(storage_hosts, "rm", "-r", PLACE)


@pytest.fixture(autouse=True)
def clean(hosts: Hosts) -> Iterator[None]:
    yield
    gone = [SecretGone(name, account(FIRST)) for name in ("h1", "h2", "h3")]
    hosts.run([TargetGone("h1", NAME), *gone])
    secrets = ("-e", FIRST, "-e", SECOND)
    assert not hosts.lab.host("h1").run(["grep", "-rlF", *secrets, "/etc", "/var/lib/cloudstore"]).stdout


@contextmanager
def in_use(hosts: Hosts, secret: str) -> Iterator[subprocess.Popen[str]]:
    """QEMU of h2 has the disk open: it reads the secret from the file."""
    words = "qemu-io", *as_account(lun(hosts, NAME).url, account(secret))
    with subprocess.Popen(
        [*hosts.lab.host("h2").ssh(), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        wait_until(lambda: bool(found(hosts)[NAME].sessions), seconds=20, otherwise="It does not log in.")
        yield user
        assert user.stdin
        user.stdin.close()
    wait_until(lambda: not found(hosts)[NAME].sessions, seconds=20, otherwise="It does not log out.")


def test_a_target_goes_there_and_back_with_its_secret(hosts: Hosts) -> None:
    hosts.run([*known(FIRST, "h1", "h2"), served(hosts, FIRST)])
    hosts.there_and_back(TargetGone("h1", NAME, (), account=account(FIRST)))
    copy, said = f"{tgt.file_of(NAME)}.cloudstore~", f"  incominguser {account(FIRST).name} {FIRST}\n"
    told(hosts, "dd", f"of={copy}", stdin=said)  # as earlier releases did, and nothing is left of it either


def test_the_secret_is_there_and_back_and_seen_by_root_alone(hosts: Hosts) -> None:
    hosts.there_and_back(*known(FIRST, "h2"))
    path = account(FIRST).file
    assert told(hosts, "cat", path, name="h2") == FIRST
    assert told(hosts, "stat", "-c", "%a %U", path, path.rpartition("/")[0], name="h2").split() == [
        "600",
        "root",
        "700",
        "root",
    ]
    hosts.there_and_back(*known(SECOND, "h2"))
    assert told(hosts, "cat", path, name="h2") == SECOND
    hosts.run([SecretGone("h2", account(SECOND))])
    assert told(hosts, "find", path.rpartition("/")[0], "-type", "f", name="h2") == ""


def test_who_does_not_know_the_secret_is_not_let_in(hosts: Hosts) -> None:
    hosts.run([*known(FIRST, "h1", "h2"), *known(SECOND, "h3")])
    hosts.there_and_back(served(hosts, FIRST))
    where = lun(hosts, NAME)
    hosts.run([LunReached("h2", where, SIZE, account(FIRST))])
    for name in ("h2", "h3"):
        is_shut_out(hosts, name, where)
    is_shut_out(hosts, "h3", where, Account(account(FIRST).name, "test", ""))  # the right name, another secret


def test_qemu_reads_the_secret_from_a_file_and_nobody_sees_it_in_a_list_of_processes(hosts: Hosts) -> None:
    hosts.run([*known(FIRST, "h1", "h2"), served(hosts, FIRST)])
    with in_use(hosts, FIRST) as user:
        assert user.stdin and user.stdout
        user.stdin.write("write -P 7 0 1M\n")
        user.stdin.flush()
        assert "wrote 1048576/1048576" in user.stdout.readline()
        for name in ("h1", "h2"):
            said = told(hosts, "sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '", name=name)
            assert FIRST not in said
    assert told(hosts, "head", "-c", "1", f"{PLACE}/one") == "\x07"


def test_another_secret_takes_the_place_of_the_first_when_nobody_is_logged_in(hosts: Hosts) -> None:
    hosts.run([*known(FIRST, "h1", "h2"), served(hosts)])
    hosts.run([LunReached("h3", lun(hosts, NAME), SIZE)])  # as targets were before they had accounts
    hosts.there_and_back(served(hosts, FIRST))
    with in_use(hosts, FIRST), pytest.raises(Refused, match="is in use by"):
        hosts.run([*known(SECOND, "h1"), served(hosts, SECOND)])
    hosts.run(known(SECOND, "h1", "h2"))
    hosts.there_and_back(served(hosts, SECOND))
    assert found(hosts)[NAME].accounts == (account(SECOND).name,)
    hosts.run([LunReached("h2", lun(hosts, NAME), SIZE, account(SECOND))])
    hosts.run(known(FIRST, "h2"))
    is_shut_out(hosts, "h2", lun(hosts, NAME), account(FIRST))


def test_it_is_wanted_after_a_restart_too_and_after_the_disk_has_grown(hosts: Hosts) -> None:
    hosts.run([*known(FIRST, "h1", "h2"), served(hosts, FIRST)])
    told(hosts, "truncate", "-s", str(2 * SIZE), f"{PLACE}/one")
    hosts.there_and_back(TargetRenewed("h1", NAME, 2 * SIZE))
    told(hosts, "systemctl", "restart", tgt.SERVICE)
    wait_until(lambda: NAME in found(hosts), seconds=20, otherwise="It does not come back.")
    assert hosts.needs(served(hosts, FIRST, 2 * SIZE)) == [False]
    hosts.run([LunReached("h2", lun(hosts, NAME), 2 * SIZE, account(FIRST))])
    is_shut_out(hosts, "h3", lun(hosts, NAME))
    assert told(hosts, "stat", "-c", "%a", tgt.file_of(NAME)).strip() == "600"
    told(hosts, "truncate", "-s", str(SIZE), f"{PLACE}/one")


def test_targets_are_found_by_who_knows_the_secret(hosts: Hosts) -> None:
    hosts.run([*known(FIRST, "h1", "h2"), served(hosts, FIRST)])
    command = ask_offers(lun(hosts, NAME).portal, account(FIRST))
    seen = offers("h2", command, hosts.shell("h2").run(command))
    assert lun(hosts, NAME) in [offer.lun for offer in seen if offer.is_disk]

"""SSH to real hosts: real sshd, real sudo, cables pulled and power lost."""

# ruff: noqa: F811 - fixtures are imported
from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datastores.domain.errors import AuthenticationFailed, HostKeyChanged, NotConnected, Unreachable
from datastores.domain.plan import Command, read
from datastores.transport.endpoint import Endpoint
from datastores.transport.hostkeys import fingerprint
from datastores.transport.keys import generate_key
from datastores.transport.pool import Pool
from datastores.transport.scan import scan_host_keys
from datastores.transport.shell import SSHShell
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.reach import HOSTILE, endpoint, eventually, noticed_soon, pool, shell  # noqa: F401

pytestmark = pytest.mark.lab


@pytest.fixture
def sshd(lab: Lab) -> Iterator[Callable[..., int]]:
    """Starts further SSH servers on h3, with other keys and settings; gives the port."""
    host = lab.host("h3")
    started: list[str] = []

    def start(port: int, **settings: str) -> int:
        key, unit = f"/run/sshd-{port}.key", f"sshd-{port}"
        host.run(["rm", "-f", key], check=True)
        host.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        options = [f"-o{name}={value}" for name, value in {"LogLevel": "DEBUG1", **settings}.items()]
        server = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", str(port), "-h", key, *options]
        host.run(["systemd-run", "--quiet", "--collect", f"--unit={unit}", *server], check=True)
        started.append(unit)
        eventually(lambda: bool(scan(port)))
        return port

    def scan(port: int) -> object:
        try:
            return scan_host_keys(host.address, port, timeout=2)
        except NotConnected:
            return None

    yield start
    for unit in started:
        host.run(["systemctl", "stop", unit])


def key_of(lab: Lab, port: int) -> str:
    return lab.host("h3").run(["cat", f"/run/sshd-{port}.key.pub"], check=True).stdout.strip()


# ---- who answers


def test_the_scanned_key_is_the_one_on_the_console(lab: Lab) -> None:
    host = lab.host("h1")
    [key] = scan_host_keys(host.address, host.port)
    console = host.run(["ssh-keygen", "-l", "-f", "/etc/ssh/ssh_host_ed25519_key.pub"], check=True).stdout
    assert key.line == host.host_key
    assert key.fingerprint == console.split()[1]


def test_an_impostor_gets_no_login(lab: Lab, pool: Pool, sshd: Callable[..., int]) -> None:
    host, port = lab.host("h3"), sshd(2201)
    before = host.run(["date", "+%s.%N"]).stdout.strip()
    with pytest.raises(HostKeyChanged) as caught:
        pool.shell(endpoint(lab, host, port=port, password="secret")).run(Command(("true",)))
    assert (caught.value.expected, caught.value.offered) == (
        fingerprint(host.host_key),
        fingerprint(key_of(lab, port)),
    )
    log = host.run(["journalctl", "--unit=sshd-2201", "--output=cat", f"--since=@{before}"], check=True).stdout
    assert "Connection from" in log
    assert "userauth" not in log


def test_a_wrong_password_is_refused(lab: Lab, pool: Pool) -> None:
    with pytest.raises(AuthenticationFailed, match="account ops with its password"):
        pool.shell(endpoint(lab, lab.host("h1"), account="ops", password="wrong")).run(Command(("id",), root=False))


def test_a_port_where_nobody_listens(lab: Lab, pool: Pool) -> None:
    with pytest.raises(NotConnected, match="refuses the connection"):
        pool.shell(endpoint(lab, lab.host("h1"), port=2)).run(Command(("true",)))


def test_a_host_whose_cable_is_out(lab: Lab) -> None:
    host = lab.host("h3")
    host.cut()
    try:
        with Pool(timeout=1) as pool, pytest.raises(NotConnected, match=r"does not answer|cannot be reached"):
            pool.shell(endpoint(lab, host)).run(Command(("true",)))
    finally:
        host.heal()


def test_an_account_without_a_shell(lab: Lab, pool: Pool, sshd: Callable[..., int]) -> None:
    host, port = lab.host("h3"), sshd(2202, ForceCommand="/usr/sbin/nologin")
    with pytest.raises(NotConnected, match=r"not currently available|currently not available"):
        pool.shell(endpoint(lab, host, port=port, host_keys=(key_of(lab, port),))).run(Command(("true",)))


def test_a_user_certificate_needs_no_authorized_key(
    lab: Lab, pool: Pool, sshd: Callable[..., int], tmp_path: Path
) -> None:
    host = lab.host("h3")
    private, public = generate_key()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "ca"], check=True)
    (tmp_path / "id.pub").write_text(public)
    subprocess.run(
        ["ssh-keygen", "-q", "-s", tmp_path / "ca", "-I", "us", "-n", "root", tmp_path / "id.pub"], check=True
    )
    host.run(["sh", "-c", "cat >/run/ca.pub"], stdin=(tmp_path / "ca.pub").read_text(), check=True)
    port = sshd(2203, TrustedUserCAKeys="/run/ca.pub", PasswordAuthentication="no")
    reached = endpoint(lab, host, port=port, host_keys=(key_of(lab, port),), private_key=private)
    with pytest.raises(AuthenticationFailed):
        pool.shell(reached).run(Command(("true",)))
    certified = (tmp_path / "id-cert.pub").read_text()
    with_certificate = Endpoint(
        reached.name, reached.address, port, host_keys=reached.host_keys, private_key=private, certificate=certified
    )
    assert pool.shell(with_certificate).run(Command(("id", "-un"))).stdout == "root\n"


def test_the_agents_key_is_used_when_asked_for(
    lab: Lab, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL)
    try:
        eventually((tmp_path / "agent").exists)
        subprocess.run(["ssh-add", "-q", lab.key], check=True)
        by_agent = endpoint(lab, lab.host("h1"), private_key="", use_agent=True)
        assert pool.shell(by_agent).run(Command(("id", "-un"))).stdout == "root\n"
    finally:
        agent.terminate()
        agent.wait()


def test_through_a_jump_host(lab: Lab, pool: Pool) -> None:
    jump, target = lab.host("h1"), lab.host("h2")
    shell = pool.shell(endpoint(lab, target, jump=endpoint(lab, jump, account="ops")))
    assert shell.run(Command(("sh", "-c", "echo $SSH_CONNECTION"))).stdout.split()[0] == jump.address
    assert scan_host_keys(target.address, jump=endpoint(lab, jump))[0].line == target.host_key
    outputs = shell.run_many([read("seq", "100000")] * 3)
    assert [hashlib.sha256(output.raw).hexdigest() for output in outputs] == [SEQ] * 3


SEQ = hashlib.sha256(b"".join(b"%d\n" % number for number in range(1, 100_001))).hexdigest()


# ---- what runs


def test_hostile_words_arrive_as_they_are(shell: SSHShell) -> None:
    sent = b"\0".join(word.encode("utf-8", "surrogateescape") for word in HOSTILE) + b"\0"
    assert shell.run(Command(("printf", "%s\\0", *HOSTILE))).raw == sent
    outputs = shell.run_many([read("printf", "%s\\0", *HOSTILE), read("printf", "%s\\0", *HOSTILE, root=True)])
    assert [output.raw for output in outputs] == [sent, sent]


def test_root_when_asked_for_and_only_then(shell: SSHShell) -> None:
    account = shell.endpoint.account
    assert shell.run(Command(("id", "-un"))).stdout == "root\n"
    assert shell.run(Command(("id", "-un"), root=False)).stdout == f"{account}\n"
    names = shell.run_many([read("id", "-un"), read("id", "-un", root=True), read("id", "-un")])
    assert [output.stdout.strip() for output in names] == [account, "root", account]
    assert shell.run(Command(("sh", "-c", "echo $LC_ALL"))).stdout == "C\n"
    assert shell.run(Command(("cat",), stdin="to root\xff")).raw == b"to root\xff"


@pytest.mark.parametrize("release", ["debian11", "debian13"])
def test_sudo_of_other_releases(release: str, request: pytest.FixtureRequest, lab: Lab, pool: Pool) -> None:
    host = request.getfixturevalue(release)
    admin = pool.shell(endpoint(lab, host, account="admin1"))
    assert admin.run(Command(("id", "-un"))).stdout == "root\n"
    assert admin.run_many([read("echo", "é;id", root=True)])[0].stdout == "é;id\n"
    refuse_without_sudo(pool.shell(endpoint(lab, host, account="ops")))


def test_an_account_without_sudo_is_told(lab: Lab, pool: Pool) -> None:
    refuse_without_sudo(pool.shell(endpoint(lab, lab.host("h2"), account="ops")))


def refuse_without_sudo(ops: SSHShell) -> None:
    assert ops.run(Command(("id", "-un"), root=False)).stdout == "ops\n"
    with pytest.raises(AuthenticationFailed, match="account ops may not run commands as root"):
        ops.run(Command(("test", "-e", "/nowhere")))
    with pytest.raises(AuthenticationFailed, match="account ops may not run commands as root"):
        ops.run_many([read("true"), read("test", "-e", "/nowhere", root=True)])


def test_a_deadline_holds_on_the_host_after_we_have_gone(shell: SSHShell, lab: Lab, pool: Pool) -> None:
    mark = f"77{os.getpid()}"
    errors: list[Exception] = []
    host = lab.host("h2")

    def run() -> None:
        try:
            shell.run(Command(("sleep", mark), timeout=4))
        except Unreachable as error:
            errors.append(error)

    def running() -> bool:
        return host.run(["pgrep", "-f", f"^sleep {mark}"]).returncode == 0

    thread = threading.Thread(target=run)
    thread.start()
    eventually(running)
    pool.drop(shell.endpoint)
    thread.join(10)
    assert len(errors) == 1
    assert running()
    eventually(lambda: not running())


def test_a_hundred_commands_at_once(lab: Lab, pool: Pool) -> None:
    shell = pool.shell(endpoint(lab, lab.host("h2")))

    def one(number: int) -> str:
        return shell.run(Command(("sh", "-c", 'sleep 0.3; echo "$1"', "sh", str(number)))).stdout

    with ThreadPoolExecutor(100) as threads:
        assert list(threads.map(one, range(100))) == [f"{number}\n" for number in range(100)]


def test_no_connection_is_lost_to_commands_that_end_while_they_are_told_so(
    debian13: Host, lab: Lab, pool: Pool
) -> None:
    """Each ends at once, while the end of its input is sent: one word too late, and sshd ends what all run on."""
    shell = pool.shell(endpoint(lab, debian13))
    with ThreadPoolExecutor(24) as threads:
        outputs = list(threads.map(lambda _: shell.run(Command(("true",))), range(2000)))
    assert all(output.ok for output in outputs)


@pytest.mark.parametrize("sessions", ["1", "3"])
def test_a_host_that_allows_few_sessions(lab: Lab, pool: Pool, sshd: Callable[..., int], sessions: str) -> None:
    port = sshd(2210 + int(sessions), MaxSessions=sessions)
    shell = pool.shell(endpoint(lab, lab.host("h3"), port=port, host_keys=(key_of(lab, port),)))
    with ThreadPoolExecutor(20) as threads:
        done = list(threads.map(lambda number: shell.run(Command(("echo", str(number)))).stdout, range(60)))
    assert done == [f"{number}\n" for number in range(60)]


def test_a_gigabyte_for_a_slow_reader_stays_on_the_host(lab: Lab, pool: Pool) -> None:
    shell = pool.shell(endpoint(lab, lab.host("h2")))
    shell.run(Command(("true",)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = 0

    def slow(text: str) -> None:
        nonlocal seen
        seen += len(text)
        time.sleep(0.0005)

    argv = "dd", "if=/dev/zero", "bs=1M", "count=1024", "status=none"
    output = shell.run(Command(argv, timeout=200), on_output=slow)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (output.exit_status, seen) == (0, 1 << 30)
    assert grown < 64 << 10  # KiB


# ---- when the host goes away


def test_a_rebooted_host_is_reconnected_to(lab: Lab, pool: Pool) -> None:
    host = lab.host("h3")
    shell = pool.shell(endpoint(lab, host))
    assert shell.run(Command(("true",))).ok
    host.power_off()
    host.power_on()
    assert shell.run(Command(("true",))).ok


def test_a_cut_cable_during_a_command_leaves_its_outcome_unknown(lab: Lab, pool: Pool) -> None:
    host = lab.host("h3")
    shell = pool.shell(endpoint(lab, host))
    shell.run(Command(("true",)))
    cut = threading.Timer(0.5, host.cut)
    cut.start()
    try:
        with pytest.raises(Unreachable, match="unknown"):
            shell.run(Command(("sh", "-c", "while :; do echo x; sleep 0.1; done"), timeout=30))
    finally:
        cut.join()
        host.heal()
    assert shell.run(Command(("true",))).ok


def test_a_read_of_root_that_hangs_is_told_of_beside_many_of_the_account(lab: Lab, pool: Pool) -> None:
    admin = pool.shell(endpoint(lab, lab.host("h2"), account="admin1"))
    *others, hung = admin.run_many([read("true")] * 40 + [read("sleep", "60", root=True, timeout=2)])
    assert all(output.ok for output in others)
    assert hung.exit_status == 124

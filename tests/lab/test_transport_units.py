"""Detached commands on real hosts: systemd of three releases, pulled cables, killed clients, restarts."""

# ruff: noqa: F811 - fixtures are imported
from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from datastores.domain.errors import AuthenticationFailed, Cancelled
from datastores.domain.plan import Command, Counted, Detached, Output
from datastores.transport.detached import GONE, LOGS
from datastores.transport.pool import Pool
from datastores.transport.shell import SSHShell
from tests.lab.lab import Lab
from tests.lab.reach import HOSTILE, endpoint, eventually, noticed_soon, pool, shell  # noqa: F401

pytestmark = pytest.mark.lab

RUNS = """
import sys
from datastores.domain.plan import Command, Detached
from datastores.transport.endpoint import Endpoint
from datastores.transport.pool import Pool
name, address, host_key, key_path, unit, *argv = sys.argv[1:]
endpoint = Endpoint(name, address, host_keys=(host_key,), private_key=open(key_path).read())
output = Pool().shell(endpoint).run_detached(
    unit, Detached(Command(tuple(argv))), on_output=lambda text: print(text, end="", flush=True),
    on_progress=lambda *_: None, cancelled=lambda: False,
)
sys.exit(output.exit_status)
"""


def follow(shell: SSHShell, unit: str, *argv: str, **options: Any) -> tuple[Output, str]:
    pieces: list[str] = []
    told = {name: options.pop(name) for name in ("growing", "total", "counted") if name in options}
    options = {"on_progress": lambda *_: None, "cancelled": lambda: False, **options}
    detached = Detached(Command(argv), **told)
    return shell.run_detached(unit, detached, on_output=pieces.append, **options), "".join(pieces)


def nothing_left(shell: SSHShell, unit: str) -> bool:
    """Neither unit nor log."""
    state = Command(("systemctl", "show", "--property=LoadState", "--value", "--", f"{unit}.service"))
    log = Command(("test", "-e", f"{LOGS}/{unit}.log"))
    return shell.run(state).stdout == "not-found\n" and shell.run(log).exit_status == 1


@pytest.mark.parametrize("release", ["h2", "debian11", "debian13"])
@pytest.mark.parametrize("account", ["root", "admin1"])
def test_a_unit_runs_on_every_release(
    release: str, account: str, request: pytest.FixtureRequest, lab: Lab, pool: Pool
) -> None:
    host = lab.host("h2") if release == "h2" else request.getfixturevalue(release)
    shell = pool.shell(endpoint(lab, host, account=account))
    words = [word for word in HOSTILE if word != "\udcff"]  # systemd's bus takes UTF-8 only
    output, text = follow(shell, "cs-words", "sh", "-c", 'printf "%s\\n" "$@"; exit 3', "sh", *words, "${HOME}", "%h")
    assert text == "".join(f"{word}\n" for word in [*words, "${HOME}", "%h"])
    assert output.exit_status == 3
    assert output.stderr.endswith("${HOME}\n%h")
    assert nothing_left(shell, "cs-words")


def test_ten_thousand_lines_come_once_and_in_order(shell: SSHShell) -> None:
    script = "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); echo line $i; done"
    output, text = follow(shell, "cs-lines", "sh", "-c", script)
    assert output.ok
    assert text == "".join(f"line {number}\n" for number in range(1, 10_001))


def test_a_program_that_is_not_there_leaves_nothing_behind(shell: SSHShell) -> None:
    with pytest.raises(Exception, match="no-such-program"):
        follow(shell, "cs-none", "no-such-program")
    assert nothing_left(shell, "cs-none")


def test_an_account_without_sudo_cannot_detach(lab: Lab, pool: Pool) -> None:
    with pytest.raises(AuthenticationFailed):
        follow(pool.shell(endpoint(lab, lab.host("h2"), account="ops")), "cs-ops", "true")


def test_progress_of_a_copy(shell: SSHShell) -> None:
    progress: list[tuple[int, int]] = []
    total = 200 << 20
    shell.run(Command(("rm", "-f", "/root/copy")))
    output, _ = follow(
        shell, "cs-copy", "dd", "if=/dev/urandom", "of=/root/copy", "bs=1M", "count=200", "status=none",
        growing="/root/copy", total=total, on_progress=lambda done, total: progress.append((done, total)),
    )  # fmt: skip
    assert output.ok
    assert progress[-1] == (total, total)
    assert progress == sorted(progress)
    assert len({done for done, _ in progress}) > 2
    shell.run(Command(("rm", "/root/copy")))


@pytest.mark.parametrize("release", ["h2", "debian11", "debian13"])
def test_progress_of_what_a_child_of_the_command_reads(
    release: str, request: pytest.FixtureRequest, lab: Lab, pool: Pool
) -> None:
    host = lab.host("h2") if release == "h2" else request.getfixturevalue(release)
    shell = pool.shell(endpoint(lab, host))
    progress: list[tuple[int, int]] = []
    total = 1 << 30
    shell.run(Command(("truncate", "-s", str(total), "/root/read")))
    output, _ = follow(
        shell, "cs-read", "sh", "-c", "cat /root/read | sha256sum; sleep 0.1",
        counted=Counted.READ, total=total, on_progress=lambda done, total: progress.append((done, total)),
    )  # fmt: skip
    assert output.ok
    assert progress[-1] == (total, total)
    assert progress == sorted(progress)
    assert len({done for done, _ in progress}) > 2
    shell.run(Command(("rm", "/root/read")))


def test_a_cancel_ends_every_process_of_the_unit(shell: SSHShell, lab: Lab) -> None:
    started = time.monotonic()
    with pytest.raises(Cancelled):
        follow(
            shell, "cs-cancel", "sh", "-c", "sleep 7654321 & sleep 7654321",
            cancelled=lambda: time.monotonic() - started > 1,
        )  # fmt: skip
    assert lab.host("h2").run(["pgrep", "-f", "7654321"]).returncode == 1
    assert nothing_left(shell, "cs-cancel")


def test_a_copy_survives_a_pulled_cable_and_its_output_is_complete(lab: Lab, pool: Pool) -> None:
    host = lab.host("h3")
    shell = pool.shell(endpoint(lab, host))
    shell.run(Command(("dd", "if=/dev/urandom", "of=/root/source", "bs=1M", "count=64", "status=none")))
    script = """i=0; while [ $i -lt 64 ]; do
        dd if=/root/source of=/root/target bs=1M skip=$i seek=$i count=1 conv=notrunc status=none
        i=$((i+1)); echo "block $i"; sleep 0.2
    done; sha256sum /root/source /root/target"""

    def pull_for_a_while() -> None:
        time.sleep(2)
        host.cut()
        time.sleep(6)
        host.heal()

    cable = threading.Thread(target=pull_for_a_while)
    cable.start()
    try:
        output, text = follow(shell, "cs-cable", "sh", "-c", script, growing="/root/target", total=64 << 20)
    finally:
        cable.join()
    assert output.ok
    *blocks, source, target = text.splitlines()
    assert blocks == [f"block {number}" for number in range(1, 65)]
    assert source.split()[0] == target.split()[0]
    assert nothing_left(shell, "cs-cable")


def test_it_is_told_when_the_host_is_lost_and_when_it_is_back(lab: Lab, pool: Pool) -> None:
    host, news = lab.host("h2"), []
    shell = pool.shell(endpoint(lab, host))
    stop = "sleep 1; systemctl stop ssh.service; pkill sshd; sleep 3; systemctl start ssh.service"
    host.run(["systemd-run", "--quiet", "sh", "-c", stop], check=True)
    output, text = follow(
        shell, "cs-lost", "sh", "-c", "sleep 6; echo done", on_news=lambda text, answers: news.append((text, answers))
    )
    assert (output.ok, text) == (True, "done\n")
    (lost, is_there), (back, is_back) = news
    assert (is_there, is_back) == (False, True)
    assert lost.endswith("What was started on h2 goes on there; we try again.")
    assert back.startswith("h2 answers again after ")


def test_a_new_process_takes_over_from_a_killed_one(lab: Lab, pool: Pool) -> None:
    host = lab.host("h2")
    shell = pool.shell(endpoint(lab, host))
    argv = "sh", "-c", "echo $$ >>/root/starts; for i in 1 2 3 4 5 6 7 8; do echo tick $i; sleep 0.5; done; exit 4"
    shell.run(Command(("rm", "-f", "/root/starts")))
    arguments = [host.name, host.address, host.host_key, str(lab.key), "cs-takeover", *argv]
    first = subprocess.Popen([sys.executable, "-c", RUNS, *arguments], stdout=subprocess.PIPE, text=True)
    assert first.stdout
    assert first.stdout.readline() == "tick 1\n"
    first.kill()
    first.wait()
    second = subprocess.run([sys.executable, "-c", RUNS, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    assert second.returncode == 4
    assert second.stdout == "".join(f"tick {number}\n" for number in range(1, 9))
    assert len(shell.run(Command(("cat", "/root/starts"))).stdout.split()) == 1
    assert nothing_left(shell, "cs-takeover")


def test_a_unit_that_ended_while_nobody_looked_gives_its_outcome(lab: Lab, pool: Pool) -> None:
    host = lab.host("h2")
    shell = pool.shell(endpoint(lab, host))

    def leave(_: str) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            shell.run_detached(
                "cs-left", Detached(Command(("sh", "-c", "echo begun; sleep 1; echo ended; exit 5"))),
                on_output=leave, on_progress=lambda *_: None, cancelled=lambda: False,
            )  # fmt: skip
        time.sleep(1.5)
    assert follow(shell, "cs-left", "true") == (Output(5, stderr="begun\nended"), "begun\nended\n")
    assert nothing_left(shell, "cs-left")


@pytest.mark.parametrize("how", ["power", "reboot"])
def test_a_restart_of_the_host_is_a_failure_and_not_a_second_start(lab: Lab, pool: Pool, how: str) -> None:
    host = lab.host("h3")
    shell = pool.shell(endpoint(lab, host))
    shell.run(Command(("rm", "-f", "/root/starts")))

    def restart() -> None:
        time.sleep(2)
        if how == "power":
            host.power_off()
            host.power_on()
        else:
            host.run(["systemctl", "reboot"])

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        output, text = follow(
            shell, f"cs-{how}", "sh", "-c", "trap '' TERM; echo x >>/root/starts; echo begun; sync; sleep 600"
        )
    finally:
        thread.join()
    eventually(lambda: host.running)
    host.wait_ready()
    assert not output.ok
    assert output.exit_status in {GONE, 137, 143}
    assert text == "begun\n"
    assert shell.run(Command(("cat", "/root/starts"))).stdout == "x\n"
    assert nothing_left(shell, f"cs-{how}")


def test_a_unit_can_be_forgotten(shell: SSHShell) -> None:
    shell.forget_unit("cs-never")
    with pytest.raises(KeyboardInterrupt):
        follow_and_leave(shell)
    shell.forget_unit("cs-forget")
    assert nothing_left(shell, "cs-forget")


def follow_and_leave(shell: SSHShell) -> None:
    def leave(_: str) -> None:
        raise KeyboardInterrupt

    command = Command(("sh", "-c", "echo begun; sleep 600"))
    shell.run_detached(
        "cs-forget", Detached(command), on_output=leave, on_progress=lambda *_: None, cancelled=lambda: False
    )

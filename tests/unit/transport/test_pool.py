"""Connections are kept, shared, limited, replaced and closed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from datastores.domain.errors import NotConnected, Unreachable
from datastores.domain.plan import Command
from datastores.transport.pool import Pool
from datastores.transport.shell import SSHShell
from tests.unit.transport.conftest import ServerFactory
from tests.unit.transport.server import PUBLIC_LINE, Server


def echo(shell: SSHShell, word: str = "hello") -> str:
    return shell.run(Command(("echo", word))).stdout.strip()


def together(shell: SSHShell, count: int, *, seconds: float) -> float:
    """Run ``count`` commands at once that take so long; returns the time for all."""

    def one(number: int) -> str:
        return shell.run(Command(("sh", "-c", 'sleep "$1"; echo "$2"', "sh", str(seconds), str(number)))).stdout

    started = time.monotonic()
    with ThreadPoolExecutor(count) as threads:
        assert list(threads.map(one, range(count))) == [f"{number}\n" for number in range(count)]
    return time.monotonic() - started


def eventually(condition: object, *, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_connection_is_kept_for_the_next_command_and_the_next_shell(server: Server, pool: Pool) -> None:
    assert [echo(pool.shell(server.endpoint()), word) for word in "abc"] == ["a", "b", "c"]
    assert server.connections == 1


def test_a_shell_knows_whether_its_connection_is_there_already(server: Server, pool: Pool) -> None:
    shell = pool.shell(server.endpoint())
    assert not shell.warm
    echo(shell)
    assert shell.warm
    pool.drop(server.endpoint())
    assert not shell.warm


def test_commands_run_side_by_side_on_one_connection(server: Server, pool: Pool) -> None:
    assert together(pool.shell(server.endpoint()), 6, seconds=0.5) < 2.5
    assert server.connections == 1


def test_above_the_limit_another_connection_is_opened(server: Server) -> None:
    with Pool(sessions=2, connections=3, timeout=5) as pool:
        together(pool.shell(server.endpoint()), 6, seconds=0.5)
    assert server.connections == 3


def test_above_all_limits_commands_queue(server: Server) -> None:
    with Pool(sessions=1, connections=2, timeout=5) as pool:
        assert together(pool.shell(server.endpoint()), 6, seconds=0.2) >= 0.6
    assert server.connections == 2


def test_a_host_with_fewer_sessions_than_expected_is_learned(make_server: ServerFactory) -> None:
    server = make_server(sessions=2)
    with Pool(sessions=8, connections=3, timeout=5) as pool:
        together(pool.shell(server.endpoint()), 6, seconds=0.3)
    assert server.connections == 3


def test_a_host_without_any_session_is_told(make_server: ServerFactory, pool: Pool) -> None:
    server = make_server(sessions=0)
    with pytest.raises(NotConnected, match="MaxSessions"):
        echo(pool.shell(server.endpoint()))


def test_a_connection_that_died_while_idle_is_replaced_unnoticed(server: Server, pool: Pool) -> None:
    shell = pool.shell(server.endpoint())
    echo(shell)
    server.drop()
    assert echo(shell) == "hello"
    assert server.connections == 2


def test_an_idle_connection_is_closed(server: Server) -> None:
    with Pool(idle=0.2, timeout=5) as pool:
        shell = pool.shell(server.endpoint())
        echo(shell)
        [transport] = server.transports
        eventually(lambda: not transport.is_active())
        assert echo(shell) == "hello"
    assert server.connections == 2


class TestAPassingShell:
    def test_closes_the_connection_that_was_made_for_it(self, server: Server, pool: Pool) -> None:
        shell = pool.shell(server.endpoint(), passing=True)
        assert [echo(shell), echo(shell)] == ["hello", "hello"]
        assert server.connections == 2
        assert not shell.warm
        eventually(lambda: not any(transport.is_active() for transport in server.transports))

    def test_leaves_alone_one_that_was_there(self, server: Server, pool: Pool) -> None:
        echo(pool.shell(server.endpoint()))
        assert echo(pool.shell(server.endpoint(), passing=True)) == "hello"
        assert pool.shell(server.endpoint()).warm
        assert server.connections == 1

    def test_does_not_keep_one_from_being_idle(self, server: Server) -> None:
        with Pool(idle=1.0, timeout=5) as pool:
            echo(pool.shell(server.endpoint()))
            passing = pool.shell(server.endpoint(), passing=True)
            deadline = time.monotonic() + 5
            while server.connections == 1 and time.monotonic() < deadline:
                echo(passing)
                time.sleep(0.1)
        assert server.connections == 2

    def test_leaves_one_to_others_who_use_it_meanwhile(self, server: Server, pool: Pool) -> None:
        slow = threading.Thread(
            target=pool.shell(server.endpoint(), passing=True).run, args=(Command(("sleep", "0.5")),)
        )
        slow.start()
        eventually(lambda: pool.is_warm(server.endpoint()))
        assert echo(pool.shell(server.endpoint())) == "hello"
        slow.join()
        assert pool.is_warm(server.endpoint())
        assert server.connections == 1

    def test_leaves_one_that_leads_to_other_hosts(self, make_server: ServerFactory, pool: Pool) -> None:
        jump, inner = make_server(), make_server()
        behind = inner.endpoint(jump=jump.endpoint())
        echo(pool.shell(behind, passing=True))
        echo(pool.shell(jump.endpoint(), passing=True))
        assert pool.is_warm(jump.endpoint())
        assert not pool.is_warm(behind)


def test_a_busy_connection_is_not_idle(server: Server) -> None:
    with Pool(idle=0.1, timeout=5) as pool:
        assert together(pool.shell(server.endpoint()), 1, seconds=1) < 3
    assert server.connections == 1


def test_a_jump_host_in_use_is_not_idle(make_server: ServerFactory) -> None:
    jump, target = make_server(), make_server()
    with Pool(idle=0.2, timeout=5) as pool:
        assert together(pool.shell(target.endpoint(jump=jump.endpoint())), 1, seconds=1) < 3
    assert jump.connections == 1


def test_a_jump_host_that_died_while_idle_is_reconnected_to(make_server: ServerFactory, pool: Pool) -> None:
    jump, first, second = make_server(), make_server(), make_server()
    for target in (first, second):
        assert echo(pool.shell(target.endpoint(jump=jump.endpoint()))) == "hello"
        jump.drop()
    assert jump.connections == 2


@pytest.mark.parametrize("change", ["host_keys", "password", "account", "private_key"])
def test_a_changed_endpoint_never_finds_the_old_connection(make_server: ServerFactory, pool: Pool, change: str) -> None:
    server = make_server(passwords={"root": "x", "admin": "x"})
    echo(pool.shell(server.endpoint(password="x")))
    changed = {"host_keys": (*server.pinned, PUBLIC_LINE), "password": "", "account": "admin", "private_key": ""}
    values = {"password": "x", change: changed[change]}
    pool.shell(server.endpoint(**values)).run(Command(("true",), root=False))
    assert server.connections == 2


def test_dropping_an_endpoint_ends_what_runs_there(server: Server, pool: Pool) -> None:
    shell = pool.shell(server.endpoint())
    echo(shell)
    timer = threading.Timer(0.3, pool.drop, [server.endpoint()])
    timer.start()
    with pytest.raises(Unreachable, match="what it did is unknown"):
        shell.run(Command(("sleep", "20")))
    timer.join()
    assert echo(shell) == "hello"
    assert server.connections == 2


def test_a_host_that_never_says_that_a_command_began_is_given_up(server: Server) -> None:
    with Pool(idle=1, timeout=1) as pool:
        shell = pool.shell(server.endpoint())
        echo(shell)
        server.mute.set()
        started = time.monotonic()
        with pytest.raises(Unreachable, match="whether it ran is unknown"):
            echo(shell)
        assert time.monotonic() - started < 5


def test_a_closed_pool_connects_no_more(server: Server) -> None:
    before = set(threading.enumerate())
    pool = Pool(timeout=5)
    shell = pool.shell(server.endpoint())
    echo(shell)
    pool.close()
    with pytest.raises(NotConnected, match="this process is ending"):
        echo(shell)
    mine = [thread for thread in threading.enumerate() if thread.name == "ssh-sweeper" and thread not in before]
    eventually(lambda: not any(thread.is_alive() for thread in mine), seconds=10)


def test_many_callers_of_a_host_that_is_down_share_one_attempt(server: Server, pool: Pool) -> None:
    server.passwords = {"root": "right"}
    shell = pool.shell(server.endpoint(private_key="", password="wrong"))
    barrier = threading.Barrier(20)

    def call() -> type[BaseException]:
        barrier.wait()
        with pytest.raises(NotConnected) as caught:
            echo(shell)
        return caught.type

    with ThreadPoolExecutor(20) as threads:
        assert len(list(threads.map(lambda _: call(), range(20)))) == 20
    assert server.connections < 5

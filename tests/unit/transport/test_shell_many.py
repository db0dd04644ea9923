"""Many commands in one round trip, and commands that want root."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastores.domain.errors import AuthenticationFailed, BadInput, NotConnected, TimedOut, Unreachable
from datastores.domain.plan import Command, Output, WriteFile, read
from datastores.transport import batch, quoting
from datastores.transport.pool import Pool
from datastores.transport.shell import SSHShell
from tests.unit.transport.conftest import ServerFactory
from tests.unit.transport.server import Server

SUDO = """#!/bin/sh
[ "$1 $2" = "-n --" ] || exit 99
shift 2
AS=root exec "$@"
"""


@pytest.fixture
def shell(server: Server, pool: Pool) -> SSHShell:
    return pool.shell(server.endpoint())


def sh(script: str, *words: str, timeout: float = 20.0) -> Command:
    return Command(("sh", "-c", script, "sh", *words), timeout=timeout)


@pytest.fixture
def with_sudo(make_server: ServerFactory, pool: Pool, tmp_path: Path) -> SSHShell:
    """An account that is not root, on a host whose ``sudo`` says who it is."""
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    server = make_server(env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    return pool.shell(server.endpoint(account="ops"))


def sudo_says(directory: Path, text: str, status: int = 1) -> None:
    (directory / "sudo").write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {status}\n")


# ---- many reads


def test_many_reads_are_one_round_trip(server: Server, shell: SSHShell) -> None:
    shell.run_many([read("true")])
    before = len(server.lines)
    outputs = shell.run_many([read("echo", str(number)) for number in range(50)])
    assert [output.stdout for output in outputs] == [f"{number}\n" for number in range(50)]
    assert len(server.lines) == before + 1
    assert shell.run_many([]) == []


def test_a_read_that_hangs_does_not_take_the_others_with_it(shell: SSHShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "FIRST_TRY", 0.3)
    outputs = shell.run_many([read("echo", "a"), read("sleep", "30", timeout=1), read("echo", "b")])
    assert [output.exit_status for output in outputs] == [0, 124, 0]
    assert [output.stdout for output in outputs] == ["a\n", "", "b\n"]
    assert outputs[1].stderr == "stopped because its 1 s were over"


def test_more_reads_than_fit_into_one_line(server: Server, shell: SSHShell) -> None:
    words = ["x" * 50_000 + str(number) for number in range(5)]
    outputs = shell.run_many([read("echo", word) for word in words])
    assert [output.stdout.strip() for output in outputs] == words


# ---- commands in order, then reads


def test_commands_and_reads_are_one_round_trip(server: Server, shell: SSHShell, tmp_path: Path) -> None:
    shell.run_many([read("true")])
    before = len(server.lines)
    path = str(tmp_path / "made")
    done, found = shell.run_in_order(
        [Command(("mkdir", path)), Command(("echo", "b"))], [read("stat", "-c", "%F", path)]
    )
    assert [output.stdout for output in (*done, *found)] == ["", "b\n", "directory\n"]
    assert len(server.lines) == before + 1


def test_nothing_is_run_after_a_command_that_failed(shell: SSHShell, tmp_path: Path) -> None:
    never = str(tmp_path / "never")
    done, found = shell.run_in_order(
        [Command(("true",)), sh("echo why >&2; exit 3"), Command(("touch", never))], [read("touch", never)]
    )
    assert done == [Output(0), Output(3, stderr="why\n")]
    assert found == []
    assert not Path(never).exists()


def test_a_failed_read_keeps_nobody_from_reading_on(shell: SSHShell) -> None:
    _, found = shell.run_in_order([Command(("true",))], [read("false"), read("echo", "on")])
    assert [output.exit_status for output in found] == [1, 0]


def test_a_command_in_a_row_that_hangs_is_ended_and_known_to_be(shell: SSHShell) -> None:
    quick = {"timeout": 0.2}
    row = [sh("echo before", **quick), sh("echo partly; sleep 30", **quick), Command(("true",), **quick)]
    done, found = shell.run_in_order(row)
    assert [(output.exit_status, output.stdout) for output in done] == [(0, "before\n"), (124, "partly\n")]
    assert done[1].stderr.endswith("stopped: these commands get 0.6 s")
    assert not found


def test_a_read_after_a_row_that_hangs_leaves_the_row_known(shell: SSHShell) -> None:
    done, found = shell.run_in_order([Command(("true",), timeout=0.2)], [read("sleep", "30", timeout=0.2)])
    assert [output.exit_status for output in done] == [0]
    assert not found


def test_a_command_that_outlives_its_end_leaves_the_row_unknown(
    shell: SSHShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quoting, "KILL_AFTER", 1)
    with pytest.raises(Unreachable, match="how far it got is unknown"):
        shell.run_in_order([sh("trap '' TERM; sleep 30 & wait; sleep 30", timeout=0.3)])


def test_a_row_that_was_ended_in_the_middle_is_of_unknown_outcome(shell: SSHShell) -> None:
    # the second command ends the shell that runs them
    with pytest.raises(Unreachable, match="how far it got is unknown") as caught:
        shell.run_in_order([Command(("true",)), sh("kill -9 $(ps -o ppid= -p $PPID)")])
    assert not isinstance(caught.value, NotConnected)


def test_a_row_that_is_too_long_for_one_line_is_run_one_at_a_time(server: Server, shell: SSHShell) -> None:
    words = ["x" * 50_000 + str(number) for number in range(3)]
    done, found = shell.run_in_order([Command(("echo", word)) for word in words], [read("echo", "found")])
    assert [output.stdout.strip() for output in done] == words
    assert not found  # whoever wants them reads by himself
    done, found = shell.run_in_order([Command(("false", word)) for word in words], [read("echo", "found")])
    assert ([output.exit_status for output in done], found) == ([1], [])
    slow = [Command(("sh", "-c", "sleep 30", word), timeout=0.3) for word in words]
    done, found = shell.run_in_order(slow)
    assert ([output.exit_status for output in done], found) == ([124], [])


# ---- files in a row


FILES = {
    "quotes": "it's \"quoted\" '\"'\"' \\'; id; '",
    "shell": "$(id) `id` ${HOME} $? !! # ~ * {a,b} ; id & id | id > x < x",
    "percent": "100%% %s %d %n\\n\\0101\\c\\",
    "newlines at the end": "a\r\nb\n\n\n",
    "no newline at the end": "a\nb",
    "only a newline": "\n",
    "leading dashes": "-n -e --\n--help",
    "end of a here-document": "EOF\n}\n",
    "not utf-8": "caf\udce9 \udc80\udc81\udcff\udcfe",
    "utf-8": "é € 𝄞 \ufeff",
    "every character": "".join(map(chr, range(1, 256))),
    "nothing": "",
}


def a_file(path: Path, content: str, before: str | None = None, mode: str = "0644") -> WriteFile:
    here = path.parent.stat()  # the account of these tests need not be root
    return WriteFile(str(path), content, before, str(here.st_uid), str(here.st_gid), mode)


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_a_file_arrives_byte_for_byte_in_one_round_trip(
    server: Server, shell: SSHShell, tmp_path: Path, content: str
) -> None:
    shell.run_many([read("true")])
    before, path = len(server.lines), tmp_path / "file"
    done, found = shell.run_in_order(a_file(path, content).commands, [read("cat", str(path))])
    assert done == [Output(0)]
    assert found[0].raw == path.read_bytes() == content.encode("utf-8", "surrogateescape")
    assert len(server.lines) == before + 1
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_replaced_file_is_kept_beside_the_new_one(shell: SSHShell, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    shell.run_in_order([*a_file(path, "new", "old").commands, Command(("true",))])
    assert (path.read_text(), Path(f"{path}.cloudstore~").read_text()) == ("new", "old")


def test_a_file_of_root_goes_through_sudo(with_sudo: SSHShell, tmp_path: Path) -> None:
    path = tmp_path / "file"
    who = read("sh", "-c", "echo ${AS-ops}")
    done, found = with_sudo.run_in_order(a_file(path, "it's\n").commands, [read("cat", str(path)), who])
    assert [output.exit_status for output in done] == [0]
    assert [output.stdout for output in found] == ["it's\n", "ops\n"]


def test_a_file_that_does_not_fit_on_the_disk_is_not_put_in_place(
    make_server: ServerFactory, pool: Pool, tmp_path: Path
) -> None:
    (tmp_path / "dd").write_text("#!/bin/sh\nexec /bin/dd of=/dev/full status=none\n")
    (tmp_path / "dd").chmod(0o755)
    shell = pool.shell(make_server(env={"PATH": f"{tmp_path}:/usr/bin:/bin"}).endpoint())
    path = tmp_path / "file"
    path.write_text("old")
    done, found = shell.run_in_order(a_file(path, "new", "old").commands, [read("cat", str(path))])
    assert [output.exit_status for output in done] == [1]
    assert "No space left on device" in done[0].stderr
    assert not found
    assert path.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "dd", path], "neither a copy nor half of a new file is left"


@pytest.mark.parametrize("reads", [[], [read("true")]])
def test_a_file_that_is_too_much_for_one_line_is_written_with_input(
    server: Server, shell: SSHShell, tmp_path: Path, reads: list[Command]
) -> None:
    path, content = tmp_path / "file", "'" * 16384
    done, found = shell.run_in_order(a_file(path, content).commands, reads)
    assert (done, found) == ([Output(0)], [])
    assert path.read_text() == content
    done, _ = shell.run_in_order([Command(("cat",), stdin="x" * 200_000)], reads)
    assert done[0].stdout == "x" * 200_000
    assert max(map(len, server.lines)) < 1000


@pytest.mark.parametrize("size", [8, 200_000])
def test_a_secret_among_commands_is_refused_before_anything_is_run(
    server: Server, shell: SSHShell, tmp_path: Path, size: int
) -> None:
    made = tmp_path / "made"
    secret = Command(("cat",), stdin="p4ssword" * (size // 8), secret=True)
    with pytest.raises(BadInput, match="cat is secret"):
        shell.run_in_order([Command(("touch", str(made))), secret])
    assert not made.exists()
    assert not any(b"p4ssword" in line for line in server.lines)
    assert shell.run(secret).stdout == secret.stdin


def test_reads_have_no_input(shell: SSHShell, tmp_path: Path) -> None:
    made, asks = tmp_path / "made", Command(("cat",), stdin="x")
    with pytest.raises(BadInput, match="cat has input"):
        shell.run_many([asks])
    with pytest.raises(BadInput, match="cat has input"):
        shell.run_in_order([Command(("touch", str(made)))], [asks])
    assert not made.exists()


# ---- root


def test_root_goes_through_sudo_and_only_root(with_sudo: SSHShell) -> None:
    who = ("sh", "-c", "echo ${AS-ops}")
    assert with_sudo.run(Command(who)).stdout == "root\n"
    assert with_sudo.run(Command(who, root=False)).stdout == "ops\n"
    outputs = with_sudo.run_many([read(*who), read(*who, root=True), read(*who, root=True), read(*who)])
    assert [output.stdout.strip() for output in outputs] == ["ops", "root", "root", "ops"]


def test_a_deadline_holds_for_root_too(with_sudo: SSHShell) -> None:
    with pytest.raises(TimedOut):
        with_sudo.run(Command(("sleep", "30"), timeout=0.3))


@pytest.mark.parametrize(
    "refusal",
    [
        "sudo: a password is required",
        "sudo: a terminal is required to read the password; either use the -S option",
        "ops is not in the sudoers file.  This incident will be reported.",
        "Sorry, user ops is not allowed to execute test as root on h1.",
        "Sorry, user ops may not run sudo on h1.",
    ],
)
def test_a_refusal_of_sudo_never_passes_for_the_commands_own_status(
    with_sudo: SSHShell, tmp_path: Path, refusal: str
) -> None:
    sudo_says(tmp_path, refusal)
    test = "test", "-e", "/nowhere"
    with pytest.raises(AuthenticationFailed, match="may not run commands as root on h1"):
        with_sudo.run(Command(test))
    with pytest.raises(AuthenticationFailed, match="NOPASSWD"):
        with_sudo.run_many([read("true"), read(*test, root=True)])
    assert with_sudo.run(Command(test, root=False)).exit_status == 1


def test_a_host_without_sudo_is_told(with_sudo: SSHShell, tmp_path: Path, server: Server) -> None:
    (tmp_path / "sudo").unlink()
    with_sudo.run(Command(("true",), root=False))
    with pytest.raises(AuthenticationFailed, match="not found"):
        with_sudo.run(Command(("/bin/true",)))


def test_a_warning_of_sudo_is_no_refusal(with_sudo: SSHShell, tmp_path: Path) -> None:
    warning = "echo 'sudo: unable to resolve host h1: Name or service not known' >&2\n"
    (tmp_path / "sudo").write_text(SUDO.replace("AS=root", warning + "AS=root"))
    assert with_sudo.run(Command(("test", "-e", "/nowhere"))).exit_status == 1

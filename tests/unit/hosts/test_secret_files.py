"""Files with secrets are written under names of their own, of which nothing is left, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from datastores.hosts import tgt
from datastores.hosts.secret_files import WRITE

OWNER = f"{os.getuid()}:{os.getgid()}"


def writing(path: Path) -> subprocess.Popen[bytes]:
    words = ["sh", "-c", WRITE, "sh", str(path), OWNER, "0640"]
    return subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)


def names(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def wait_for(directory: Path, files: int) -> None:
    until = time.monotonic() + 10
    while len(names(directory)) != files:
        assert time.monotonic() < until, names(directory)
        time.sleep(0.01)


def test_two_at_once_disturb_each_other_in_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    first, second = writing(path), writing(path)
    wait_for(tmp_path, 2)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    first.communicate(b"one" * 1000)
    assert path.read_bytes() == b"one" * 1000
    second.communicate(b"two")
    assert (first.returncode, second.returncode) == (0, 0)
    assert path.read_bytes() == b"two" and path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["keyring"]


def wait_until_it_reads(process: subprocess.Popen[bytes]) -> None:
    """A signal that comes while the shell starts dd may be lost to dd, which then waits for its input to end."""
    ask, until = ["ps", "-o", "comm=", "--ppid", str(process.pid)], time.monotonic() + 10
    while subprocess.run(ask, stdout=subprocess.PIPE, check=False).stdout != b"dd\n":
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_cut_off_leaves_no_secret_and_the_file_as_it_was(tmp_path: Path, signal_: signal.Signals) -> None:
    path = tmp_path / "keyring"
    path.write_text("old")
    process = writing(path)
    wait_for(tmp_path, 2)
    wait_until_it_reads(process)
    os.killpg(process.pid, signal_)
    process.wait(10)
    assert process.returncode
    assert names(tmp_path) == ["keyring"] and path.read_text() == "old"


def test_what_a_power_cut_left_goes_when_the_file_is_written_again_and_nothing_else_does(tmp_path: Path) -> None:
    path, hour = tmp_path / "keyring", time.time() - 3600
    kept = ["keyring.cloudstore~", "other.cloudstore-abcdefgh", "keyring.cloudstore-abc"]
    for name in ("keyring.cloudstore-abcdefgh", *kept):
        (tmp_path / name).write_text("secret")
        os.utime(tmp_path / name, (hour, hour))
    (tmp_path / "keyring.cloudstore-justnow0").write_text("of another job")
    writing(path).communicate(b"new")
    assert names(tmp_path) == sorted(["keyring", "keyring.cloudstore-justnow0", *kept])


def test_the_file_of_a_target_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path, secret = tmp_path / "one.conf", tmp_path / "chap"
    secret.write_text("abcdefghijkl")
    words = ["sh", "-c", tgt.SEALED, "sh", str(path), "cloudstore-ds-1", str(secret)]
    subprocess.run(words, input=b"<target one>\n", check=True)
    whole = "<target one>\n  incominguser cloudstore-ds-1 abcdefghijkl\n</target>\n"
    assert path.read_text() == whole and path.stat().st_mode & 0o777 == 0o600
    secret.unlink()
    assert subprocess.run(words, input=b"<target two>\n", capture_output=True, check=False).returncode
    assert path.read_text() == whole
    subprocess.run(["sh", "-c", tgt.PLAIN, "sh", str(path)], input=b"plain\n", check=True)
    assert path.read_text() == "plain\n" and names(tmp_path) == ["one.conf"]


def test_a_secret_of_before_is_put_back_only_if_it_is_that_one(tmp_path: Path) -> None:
    path, secret = tmp_path / "one.conf", tmp_path / "chap"
    secret.write_text("abcdefghijkl")
    words = ["sh", "-c", tgt.SEALED_AGAIN, "sh", str(path)]
    assert subprocess.run([*words, "cloudstore-ds-d682ed", str(secret)], input=b"t\n", check=False).returncode == 0
    path.unlink()
    said = subprocess.run([*words, "cloudstore-ds-000000", str(secret)], input=b"t\n", capture_output=True, check=False)
    assert said.returncode and b"is of another" in said.stderr
    assert names(tmp_path) == ["chap"]

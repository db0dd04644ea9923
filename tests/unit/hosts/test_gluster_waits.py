"""The shell text that waits for GlusterFS, run with a gluster that tells what a large volume would."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from datastores.hosts.gluster_waits import DRAIN, HEAL, STOP, WAIT

AWKS = [name for name in ("mawk", "gawk", "original-awk") if shutil.which(name)] or ["awk"]
GLUSTER = """#!/bin/sh
echo "$*" >>"$TOLD/log"
case "$*" in
*" start"|*" stop"|*" commit") ;;
*"--xml volume info "*) cat "$TOLD/info" ;;
*"--xml volume status "*) cat "$TOLD/detail" ;;
*--xml*" status") cat "$TOLD/status" ;;
*"info summary") cat "$TOLD/summary" ;;
*" status") echo "Estimated time left for rebalance to complete : 240:00:00" ;;
*"client-list") echo "Client connections for volume vms" ;;
esac
"""
GIB = 1 << 30


@pytest.fixture(params=AWKS)
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a directory with the programs of a host, and with what its gluster is to tell."""
    (tmp_path / "awk").symlink_to(str(shutil.which(request.param)))
    (tmp_path / "gluster").write_text(GLUSTER)
    (tmp_path / "gluster").chmod(0o755)
    bricks = "".join(
        f"<node>\n<hostname>h{number}</hostname>\n<path>/b</path>\n<sizeTotal>{100 * GIB}</sizeTotal>\n"
        f"<sizeFree>{free * GIB}</sizeFree>\n</node>\n"
        for number, free in ((1, 60), (2, 100))
    )
    (tmp_path / "detail").write_text(bricks)
    is_replicated(tmp_path, 1)
    return tmp_path


def is_replicated(told: Path, copies: int) -> None:
    counts = {"brick": 2, "replica": copies, "arbiter": 0, "disperse": 0, "redundancy": 0}
    (told / "info").write_text("".join(f"<{name}Count>{count}</{name}Count>\n" for name, count in counts.items()))


def has_moved(told: Path, size: int, status: int = 3, seconds: int = 70) -> None:
    lines = f"""<files>12</files>
<size>{size}</size>
<lookups>3</lookups>
<failures>0</failures>
<skipped>0</skipped>
<status>{status}</status>
<statusStr>completed</statusStr>
<runtime>{seconds}.00</runtime>
"""
    node = f"<node>\n<nodeName>h1</nodeName>\n{lines}</node>\n"
    (told / "status").write_text(f"<opErrstr/>\n{node}<aggregate>\n{lines}</aggregate>\n")


def run(told: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{told}:{os.environ['PATH']}", "TOLD": str(told), "LC_ALL": "C"}
    argv = ["sh", "-c", script, "sh", *words]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("size", [GIB, 3 * GIB, 100 << 40])
def test_a_rebalance_of_any_size_is_waited_for(told: Path, size: int) -> None:
    has_moved(told, size)
    done = run(told, WAIT, "failures", "rebalance", "vms", "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"12 files, {size} of {size} bytes moved, 3 looked at, 0 skipped, 0 failed; h1: 12 files, {size} bytes, "
        "completed\n"
    )


def test_how_much_will_move_is_said_when_it_begins(told: Path) -> None:
    has_moved(told, 3 * GIB, status=4)
    done = run(told, WAIT, "failures", "rebalance", "vms", "status")
    assert done.stdout.startswith(f"12 files, {3 * GIB} of about {23 * GIB} bytes moved")
    assert done.returncode == 1 and "stopped, or failed" in done.stderr


def test_what_gluster_guesses_after_ten_minutes_fits_for_a_large_volume(told: Path) -> None:
    size, seconds = 100 << 40, 864_000
    has_moved(told, size, status=4, seconds=seconds)
    done = run(told, WAIT, "failures", "rebalance", "vms", "status")
    assert f"{size} of about {size + size // seconds * 864_000} bytes" in done.stdout


@pytest.mark.parametrize(("status", "end"), [(3, "commit"), (4, "stop")])
def test_bricks_leave_when_they_are_empty_and_else_come_back(told: Path, status: int, end: str) -> None:
    has_moved(told, 3 * GIB, status=status)
    done = run(told, DRAIN, "vms", "h2:/b")
    assert (done.returncode == 0) is (end == "commit")
    log = (told / "log").read_text().splitlines()
    ends = [line.rpartition(" ")[2] for line in log if "remove-brick" in line and not line.endswith(" status")]
    assert ends == ["start", end]


def test_what_was_moving_is_seen_to_be_at_rest(told: Path) -> None:
    assert run(told, STOP, "rebalance", "vms", "stop").returncode == 0


def test_a_large_brick_that_is_empty_is_healed(told: Path) -> None:
    is_replicated(told, 2)
    lines = "<opRet>0</opRet>\n<status>Connected</status>\n<totalNumberOfEntries>0</totalNumberOfEntries>\n"
    (told / "summary").write_text(lines)
    done = run(told, HEAL, "vms")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"0 entries are to be healed; {40 * GIB} of about {40 * GIB} bytes have come to bricks that lacked them\n"
    )

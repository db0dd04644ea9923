"""What the lab asks of the machine it runs on: commands, locks, the cgroup tree, loop devices."""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_NEEDED = 8192  # a host's systemd takes four; the usual 128 silently stops at the 29th host


class LabError(RuntimeError):
    """The lab cannot do what was asked; the message says why."""


def state_directory() -> Path:
    """Where root file systems, keys and the hosts' own files live."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CLOUDSTORE_LAB_DIR") or Path(cache) / "cloudstore-lab").absolute()


def command(*argv: str | Path, stdin: str = "", check: bool = True) -> str:
    """Run a command and give its output; with `check`, a failure is a LabError with what it printed."""
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        umask=0o022,
    )
    if check and done.returncode:
        raise LabError(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout


def directory(path: Path, *, mode: int = 0o755) -> Path:
    """Make a directory with exactly this mode, whatever the umask: it shows inside a host."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    return path


def wait_until(condition: Callable[[], bool], *, seconds: float, otherwise: str) -> None:
    """Poll until the condition holds; LabError(otherwise) when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(otherwise)
        time.sleep(0.02)


@contextlib.contextmanager
def locked(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel lets go of it even after a kill -9."""
    directory(path.parent)
    with path.open("a") as lock:

        def taken() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_until(taken, seconds=seconds, otherwise=f"Another lab command holds {path} for {seconds:.0f} s already.")
        yield


def cgroup_root() -> Path:
    """Where this machine has its cgroup v2 tree: the whole of /sys/fs/cgroup or a corner of it."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise LabError("This machine has no cgroup v2 tree mounted; the lab's hosts need one.")


def kill_cgroup(group: Path) -> None:
    """End every process below a cgroup and remove it. No error when there is none."""

    def empty() -> bool:
        with contextlib.suppress(OSError):  # its supervisor removes it at the same time
            (group / "cgroup.kill").write_text("1")
            return "populated 0" in (group / "cgroup.events").read_text()
        return not group.exists()

    wait_until(empty, seconds=20, otherwise=f"Processes in {group} do not end.")
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            Path(folder).rmdir()


def loops_below(path: Path) -> list[str]:
    """The loop devices whose backing file is below a directory."""
    loops = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # detached while we look
            if backing.read_text().startswith(f"{path}/"):
                loops.append(f"/dev/{backing.parts[3]}")
    return loops


def prepare_kernel() -> None:
    """What must be true before a host starts: we are root, and there is inotify for every systemd."""
    if os.geteuid() != 0:
        raise LabError("The lab makes namespaces and mounts: run it as root.")
    if int(INOTIFY.read_text()) < INOTIFY_NEEDED:
        INOTIFY.write_text(str(INOTIFY_NEEDED))

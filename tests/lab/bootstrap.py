"""Debian in a directory, by mmdebstrap from the package mirror that this machine's apt uses."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.lab.machine import LabError, command

LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")

LONGEST = 1800
"""Seconds that an installation may take: hooks that compile count, too."""

# In namespaces of its own, so that nothing stays mounted or running however it ends.
ALONE = ("setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--mount-proc", "--fork", "--kill-child")


def bootstrap(
    suite: str, target: Path, packages: Iterable[str], *, components: str = "main", options: Sequence[str] = ()
) -> None:
    """Install a suite with these packages in `target`; `options` are further ones of mmdebstrap."""
    _install_mmdebstrap()
    with tempfile.NamedTemporaryFile("w", prefix="lab-apt-", suffix=".conf") as access:
        access.write(_apt_access())
        access.flush()
        settings = ["--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"]
        settings += [f"--components={components}", f"--aptopt={access.name}", "--dpkgopt=force-unsafe-io"]
        settings += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
        bounded = ("timeout", "--kill-after=10", str(LONGEST))
        # a kernel's package would make an initial RAM disk that nobody uses
        command(*ALONE, *bounded, "env", "INITRD=No", "mmdebstrap", *settings, *options, suite, target, _mirror())


def _install_mmdebstrap() -> None:
    if shutil.which("mmdebstrap"):
        return
    install = ("apt-get", "-oDPkg::Lock::Timeout=120", "install", "--yes", "--no-install-recommends", "mmdebstrap")
    try:
        command(*install)
    except LabError:  # the package lists may be missing or old
        command("apt-get", "update", "--quiet")
        command(*install)


def _mirror() -> str:
    """The address this machine's apt gets its own Debian release from."""
    if address := os.environ.get("CLOUDSTORE_LAB_MIRROR"):
        return address
    codename = command("sh", "-c", '. /etc/os-release; echo "$VERSION_CODENAME"').strip()
    for _ in range(2):
        for line in command("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)").splitlines():
            name, _, address = line.partition(" ")
            if name == codename:
                return address
        command("apt-get", "update", "--quiet")
    raise LabError("apt names no mirror for this machine's release; set CLOUDSTORE_LAB_MIRROR.")


def _apt_access() -> str:
    """How this machine's apt reaches its mirror: proxies, and whether it minds the age of the lists."""
    wanted = ("::proxy", "::check-valid-until", "::check-date", "::cainfo", "::verify-peer")
    lines = command("apt-config", "dump", "Acquire").splitlines()
    return "".join(f"{line}\n" for line in lines if any(word in line.split(" ")[0].lower() for word in wanted))

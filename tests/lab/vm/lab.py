"""The lab of virtual machines: hosts with a kernel of their own, for what tests/lab/lab.py cannot do.

    python3 tests/lab/vm/lab.py up 2             two machines, saved when they are ready
    python3 tests/lab/vm/lab.py ssh h1 uptime
    python3 tests/lab/vm/lab.py restore          bring them back to the saved state, in a second
    python3 tests/lab/vm/lab.py cut h2           pull a network cable; `heal` puts it back
    python3 tests/lab/vm/lab.py power-off h2     pull the power; `power-on` brings it back with its files
    python3 tests/lab/vm/lab.py down             leaves nothing behind

Root on Linux. Each is Debian with Debian's kernel: NFS, ZFS, LVM, iSCSI (tgt, LIO, open-iscsi), 802.1Q, with empty
disks vdb, vdc and vdd. No daemon of these runs before a test starts it. Accounts, key and network are those of
tests/lab/lab.py.

The processor is emulated, so that this works where nothing can be virtualised: a machine is 10 to 35 times slower than
this one. Use small files, and never quote a speed from here. The first `up` builds the image, which takes minutes.
"""

import shutil
import sys
from pathlib import Path

if not __package__:  # called by its path
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from tests.lab.labs import LabOf
from tests.lab.machine import LabError, prepare_kernel
from tests.lab.networks import MACHINES
from tests.lab.vm import image
from tests.lab.vm.guest import Guest, Record

BOOT_SECONDS = 180
"""Within how long a machine is up, plus as much again for each further one: a boot takes 15 s, on a busy machine 50."""


class MachineLab(LabOf[Guest]):
    """Virtual machines."""

    kind, networks, node = "vm", MACHINES, Guest

    def __init__(self, name: str = "vm", *, subnet: str | None = None) -> None:
        super().__init__(name, subnet=subnet)

    def up(self, count: int, *, first: int = 1, bound: bool = False) -> list[Guest]:
        """Bring up `count` machines from h<first> on and save them as soon as they are ready; one that runs is left
        alone.

        `bound`: they end with this process, however it ends.
        """
        guests = self._named(count, first)
        if not shutil.which("qemu-system-x86_64"):
            raise LabError("There is no qemu-system-x86_64: run `deploy/setup vm`.")
        prepare_kernel()
        base = image.build()
        with self.site.locked(), self._undone_on_failure() as fresh:
            self._prepare()
            for guest in guests:
                if not guest.running:
                    fresh.append((guest, guest.exists))
                    if not guest.exists:
                        guest.make(Record(str(base), bound=bound))
                    guest.start()
            self._write_known_hosts()
            for guest, _ in fresh:
                guest.wait_ready(seconds=BOOT_SECONDS * len(fresh))
                guest.run(["systemctl", "is-system-running", "--wait"], seconds=BOOT_SECONDS)
            for guest, _ in fresh:
                guest.save()
        return guests

    def restore(self) -> None:
        """Bring all machines back to the moment when they were saved: memory and disks. Connections to them break."""
        with self.site.locked():
            guests = self.hosts()
            if not guests:
                raise LabError(f"There are no machines in lab {self.site.name}.")
            self._prepare()
            for guest in guests:
                guest.stop()
                (guest.directory / "cut").unlink(missing_ok=True)
            for guest in guests:
                guest.start(saved=True)
            for guest in guests:
                guest.wait_ready(seconds=BOOT_SECONDS)
                guest.set_clock()


if __name__ == "__main__":
    from tests.lab.vm.cli import main

    sys.exit(main())

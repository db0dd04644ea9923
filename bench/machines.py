"""A disk of an image in thin LVM and in ZFS, on a virtual machine: from the POST to READY, beside the bare command.

Both need a kernel of their own, and the processor of the virtual machine is emulated: everything in it takes 10 to 35
times as long, the bare command (`lvcreate -s`, `zfs clone`) as well as every look before and after it, and the start of
each session. So the goal, 50 ms more than the bare command, says little here; the ratio does. `ssh` is the bare command
by OpenSSH's client on a connection that is open, `pool` the same by the product's own SSH connections.
"""

from __future__ import annotations

from bench.backends import Farm, measure_clones
from bench.figures import Figure
from bench.furnish import Place
from bench.site import LAB, Site
from datastores.domain.volumes import Volume
from datastores.domain.zfs import GOLD
from datastores.drivers.base import StorageDriver
from datastores.drivers.lvm import LvmDriver
from datastores.drivers.zfs import ZfsDriver
from tests.lab.disks import MIB
from tests.lab.vm.lab import MachineLab

PLACES = {
    "lvm": Place("/srv/lvm", {"disks": "/dev/vdb"}),
    "zfs": Place("/srv/zfs", {"dataset": "tank/bench", "disks": "/dev/vdc"}),
}


def measure(site: Site) -> list[Figure]:
    lab = MachineLab(LAB)
    with lab.taken():
        lab.up(1, bound=True)
        farm = Farm(lab, PLACES, 256 * MIB, 16 * MIB, 2 if site.quick else 12)
        return measure_clones(site, farm, {"lvm": lvm, "zfs": zfs})


def lvm(driver: StorageDriver, image: Volume, name: str) -> list[str]:
    assert isinstance(driver, LvmDriver)
    return ["lvcreate", "-q", "-kn", "-s", "-n", name, f"{driver.options.group_name}/{driver.volume_name(image)}"]


def zfs(driver: StorageDriver, image: Volume, name: str) -> list[str]:
    assert isinstance(driver, ZfsDriver)
    return ["zfs", "clone", f"{driver.home(image).dataset}@{GOLD}", f"{driver.dataset}/{name}"]

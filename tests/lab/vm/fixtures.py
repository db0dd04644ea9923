"""Virtual machines for tests marked `vm`.

With CLOUDSTORE_LAB_KEEP=1 they stay up, and the next run finds them. Two runs at once need different labs:
CLOUDSTORE_VM_NAME=mine CLOUDSTORE_VM_SUBNET=10.77.18.0/24.
"""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.lab.carrying import Hosts, connected
from tests.lab.vm.lab import MachineLab


@pytest.fixture(scope="session")
def machine_lab() -> Iterator[MachineLab]:
    """h1 and h2 of lab `vm` (or CLOUDSTORE_VM_NAME). They end with the tests, however these end."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("the lab needs root on Linux")
    lab = MachineLab(os.environ.get("CLOUDSTORE_VM_NAME", "vm"), subnet=os.environ.get("CLOUDSTORE_VM_SUBNET"))
    keep = os.environ.get("CLOUDSTORE_LAB_KEEP") == "1"
    with lab.taken(keep=keep):
        lab.up(2, bound=not keep)
        yield lab


@pytest.fixture(scope="module")
def machines(machine_lab: MachineLab) -> Iterator[Hosts]:
    """Shells to h1 and h2, which are as they were when they had just started."""
    machine_lab.restore()
    with connected(machine_lab) as hosts:
        yield hosts

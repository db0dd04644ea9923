"""A disk of an image in a pool of a Ceph cluster: from the POST to READY, beside the bare `rbd clone`.

The cluster is one host of this machine, with one monitor, one manager and one OSD. `ssh` is the bare command by
OpenSSH's client on a connection that is open, `pool` the same by the product's own SSH connections. Each `rbd` starts
as a program, reads its configuration and connects to the cluster: that is what most of its time goes to. The product
reads the image and its snapshots before it clones, and the clone after it.
"""

from __future__ import annotations

from bench.backends import Farm, measure_clones
from bench.figures import Figure
from bench.furnish import Place
from bench.site import LAB, Site
from datastores.domain.ceph import SNAP
from datastores.domain.volumes import Volume
from datastores.drivers.base import StorageDriver
from datastores.transport.pool import Pool
from tests.lab import ceph
from tests.lab.carrying import Hosts
from tests.lab.disks import GIB, MIB
from tests.lab.lab import Lab


def measure(site: Site) -> list[Figure]:
    lab = Lab(LAB)
    with lab.taken():
        lab.up(1, packages="ceph")
        ceph.run_cluster(lab.host("h1"))
        with Pool() as pool:
            options, secret = ceph.fitted(Hosts(lab, pool))
        places = {"ceph": Place("/srv/rbd", {"pool": ceph.POOL, **options}, secret)}
        return measure_clones(site, Farm(lab, places, GIB, 64 * MIB, 5 if site.quick else 50), {"ceph": rbd})


def rbd(driver: StorageDriver, image: Volume, name: str) -> list[str]:
    return ["rbd", "clone", f"{image.path}@{SNAP}", f"{ceph.POOL}/{name}"]

"""A disk of an image where the clone is the storage's own: from the POST to READY, beside the bare command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench import peers
from bench.clone import P50, P95, Clones, TimedVisitor, clone
from bench.figures import Figure
from bench.furnish import Place, furnish
from bench.site import Site, endpoint
from datastores.domain.figures import percentile
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.services.placing import driver_of
from datastores.transport.pool import Pool
from tests.lab.labs import LabOf

MORE = 50
"""Milliseconds that a clone may take longer than the bare command."""
Bare = Callable[[StorageDriver, Volume, str], list[str]]
"""Returns the bare command that clones an image under a name."""


@dataclass(frozen=True, slots=True)
class Farm:
    """Hosts, the datastores to be made on them, an image of ``virtual`` bytes that holds ``data``, and how often."""

    lab: LabOf[Any]
    places: Mapping[str, Place]
    virtual: int
    data: int
    times: int


def measure_clones(site: Site, farm: Farm, bare: Mapping[str, Bare]) -> list[Figure]:
    images = furnish(farm.lab, farm.places, virtual=farm.virtual, data=farm.data)
    password = (site.data / "admin_password").read_text().strip()
    made = {
        kind: clone(TimedVisitor(site.url, "admin", password), kind, image, farm.times)
        for kind, image in images.items()
    }
    return [figure for kind, clones in made.items() for figure in figures_of(farm, kind, clones, bare[kind])]


def figures_of(farm: Farm, kind: str, clones: Clones, bare: Bare) -> Iterator[Figure]:
    ms = [1000 * seconds for seconds in clones.seconds]
    took = percentile(ms, P50)
    beside = dict(others(farm, bare, clones))
    remark = f"{len(ms)} clones, {min(ms):.0f} to {max(ms):.0f} ms; goal: the bare command by ssh and {MORE} ms"
    yield Figure(name=f"{kind} p50", value=took, unit="ms", goal=beside["ssh"] + MORE, remark=remark)
    yield Figure(name=f"{kind} p95", value=percentile(ms, P95), unit="ms")
    for against, peer in beside.items():
        yield Figure(name=f"{kind} p50 beside {against}", value=took, unit="ms", peer=peer, against=against)


def others(farm: Farm, bare: Bare, clones: Clones) -> Iterator[tuple[str, float]]:
    """Yield who, and the milliseconds it takes for one clone."""
    host = farm.lab.host("h1")
    driver = driver_of(clones.image.datastore)
    image = Volume(driver.image_path(clones.image.uuid, Format.RAW), Format.RAW)
    commands = [bare(driver, image, f"peer-{number}") for number in range(2 * farm.times)]
    yield "ssh", 1000 * peers.over_ssh(host, commands[::2])
    with Pool() as pool:
        yield "pool", 1000 * peers.over_our_pool(pool.shell(endpoint(farm.lab, host)), commands[1::2])

"""A datastore in a directory of this machine, whose host is this machine, and scans of it."""

from __future__ import annotations

import getpass
import grp
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from datastores.jobs import attempt_ends, attempts, drift
from datastores.jobs.drift import look_for_drift
from datastores.models import (
    Drift,
    DriftScan,
    Image,
    User,
)
from datastores.transport.endpoint import Endpoint
from tests.unit.conftest import a_datastore, a_host, an_image
from tests.unit.local import LocalShell

MIB = 1 << 20


class Site:
    """A datastore in a directory of this machine, on the host h1."""

    def __init__(self, base: Path) -> None:
        self.base = base
        base.mkdir(mode=0o755)
        base.chmod(0o755)
        mine = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name, "mounted": "nowhere"}
        self.host = a_host("h1")
        self.store = a_datastore("fast", kind="shared", base=str(base), hosts=[self.host], options=mine)
        self.shells: dict[str, LocalShell] = {}

    def shell(self, host: str) -> LocalShell:
        return self.shells.setdefault(host, LocalShell(host))

    def image(self, owner: User, name: str = "gold", *, size: int = MIB, **fields: Any) -> Image:
        image = an_image(owner, name, datastore=self.store, virtual_size=size, **fields)
        self.file(image).touch(mode=0o660)
        self.file(image).write_bytes(bytes(size))
        return image

    def file(self, image: Image) -> Path:
        return self.base / f"{image.uuid}.{image.format}"


@dataclass
class Pool:
    """Connections to the hosts of a site."""

    site: Site

    def shell(self, endpoint: Endpoint) -> LocalShell:
        return self.site.shell(endpoint.name)


def a_site(base: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Make a site below a directory; scans and jobs reach its host."""
    site = Site(base / "fast")
    monkeypatch.setattr(drift, "pool", lambda: Pool(site))
    for module in (attempts, attempt_ends):
        monkeypatch.setattr(module, "connector", lambda machines: site.shell)
    return site


def scanned() -> dict[str, str]:
    """Make a scan; return the kinds of what differs, by what it is about."""
    DriftScan.objects.update(started_at=timezone.now() - timedelta(hours=2))
    look_for_drift()
    assert DriftScan.objects.filter(ended_at=None).count() == 0
    return dict(Drift.objects.open().order_by("pk").values_list("label", "kind"))


def write(path: Path, content: bytes) -> None:
    """Write to a file so that its time is another one."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_bytes(content)
    os.utime(path, ns=(before + 10**9, before + 10**9))

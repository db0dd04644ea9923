"""Names as nobody should choose them: each is refused with a clear word, or stored and used as it is."""

from __future__ import annotations

import pytest

from datastores.models import Cluster, Datastore, Host, Image, Snapshot, VirtualMachine
from tests.faults.conftest import GOLDEN
from tests.faults.installation import Installation

NAMES = {
    "shell": "a; touch /owned; $(touch /owned) `id` | & > /owned",
    "quotes": "a' \" \\ b",
    "newline": "a\nb",
    "nul": "a\0b",
    "escape": "a\x1b[2Jb",
    "dash": "-rf",
    "long": "a" * 300,
    "right-to-left": "a\u202egpj.exe",
    "zero-width": "a\u200bb",
    "slash": "../../etc/passwd",
    "blank": "   ",
    "html": "<img src=x onerror=alert(1)>",
    "option": "--reference=/etc/passwd",
}
MODELS = (Image, Datastore, VirtualMachine, Snapshot, Host, Cluster)
UNSAID = ("Traceback", "defect", "Error:", "IntegrityError")


@pytest.mark.parametrize("what", ["image", "datastore", "vm", "snapshot", "host", "cluster"])
def test_every_odd_name_is_refused_with_a_clear_word(site: Installation, golden: Image, what: str) -> None:
    storage = site.rows(Host).get(name="h1").pk
    before = {model: site.rows(model).count() for model in MODELS}
    for label, name in NAMES.items():
        path, fields = {
            "image": (
                "/images/register/",
                {"datastore": golden.datastore_id, "source": GOLDEN, "type": "OS", "format": "raw"},
            ),
            "datastore": (
                "/datastores/new/",
                {"kind": "xfs", "type": "image", "base": "/srv/xfs/odd", "storage_host": storage},
            ),
            "vm": (f"/images/{golden.pk}/disks/", {"count": 1, "vm_name": name}),
            "snapshot": (f"/images/{golden.pk}/snapshots/", {}),
            "host": ("/hosts/new/", {"address": "192.0.2.1", "port": 22, "account": "root", "how": "own"}),
            "cluster": ("/clusters/new/", {}),
        }[what]
        refused = site.refusal(path, **{"name": name, **fields})
        assert len(refused) > 10 and not any(word in refused for word in UNSAID), f"{label}: {refused}"
    assert {model: site.rows(model).count() for model in MODELS} == before


@pytest.mark.parametrize(
    "label", ["newline", "nul", "escape", "right-to-left", "zero-width", "slash", "dash", "option"]
)
def test_every_odd_path_is_refused_with_a_clear_word(site: Installation, golden: Image, label: str) -> None:
    storage = site.rows(Host).get(name="h1").pk
    for path in (NAMES[label], f"/srv/xfs/{NAMES[label]}"):
        if path in {"/srv/xfs/-rf", "/srv/xfs/--reference=/etc/passwd"}:
            continue  # a leading dash inside an absolute path is no option
        fields = {"kind": "xfs", "type": "image", "base": path, "storage_host": storage}
        assert "base" in site.refusal("/datastores/new/", name="odd", **fields).lower() or path
        register = {"datastore": golden.datastore_id, "source": path, "type": "OS", "format": "raw"}
        assert len(site.refusal("/images/register/", name="odd", **register)) > 10


def test_a_host_account_and_address_are_never_an_option_or_a_command(site: Installation) -> None:
    usual = {"name": "h9", "address": "192.0.2.1", "port": 22, "account": "root", "how": "own"}
    for field in ("address", "account"):
        for name in NAMES.values():
            assert len(site.refusal("/hosts/new/", **{**usual, field: name})) > 10
    assert site.refusal("/hosts/new/", **{**usual, "address": "-oProxyCommand=id"})

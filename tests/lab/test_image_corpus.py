"""Hostile and honest images on a real host: judged before a tool sees them, and against what qemu-img really writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datastores.domain.errors import Refused
from datastores.domain.plan import AnyStep
from datastores.domain.volumes import Format
from datastores.hosts.copies import FileConverted, FileCopied
from datastores.hosts.inspection import ImageIsSafe
from datastores.hosts.overlays import OverlayExists
from datastores.hosts.qemu_img import ImageOpens
from datastores.hosts.reflinks import ReflinkExists
from datastores.hosts.sizes import ImageResized
from tests.hostile_images import HOSTILE, MIB, Hostile
from tests.lab.carrying import Hosts, connected
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

BASE = "/srv/xfs/corpus"


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[Hosts]:
    with connected(lab) as found:
        told(found, "rm", "-rf", BASE)
        told(found, "mkdir", BASE)
        yield found
        told(found, "rm", "-rf", BASE)


def told(hosts: Hosts, *argv: str, stdin: str = "") -> str:
    return hosts.lab.host("h1").run(argv, stdin=stdin, check=True).stdout


def upload(hosts: Hosts, path: str, content: bytes) -> None:
    """Write bytes to a file of h1; runs of zeros at the end are not sent."""
    short = content.rstrip(b"\0")
    told(hosts, "python3", "-c", "import sys; open(sys.argv[1], 'wb').write(bytes.fromhex(sys.stdin.read()))", path,
         stdin=short.hex())  # fmt: skip
    told(hosts, "truncate", "-s", str(len(content)), path)


def accepted(hosts: Hosts, step: AnyStep) -> bool:
    try:
        return hosts.needs(step) == [False]
    except AssertionError:
        return False


@pytest.mark.parametrize("image", HOSTILE, ids=lambda image: image.name)
def test_a_hostile_image_is_refused_on_a_real_host(hosts: Hosts, image: Hostile) -> None:
    path = f"{BASE}/{image.name}"
    upload(hosts, path, image.content)
    with pytest.raises(Refused, match=image.because):
        hosts.run([ImageIsSafe("h1", path, image.declared)])


@pytest.mark.parametrize(
    ("declared", "options"),
    [
        ("qcow2", "compat=0.10"),
        ("qcow2", "compat=1.1"),
        ("qcow2", "lazy_refcounts=on"),
        ("qcow2", "compression_type=zstd"),
        ("qcow2", "cluster_size=2M"),
        ("qcow2", "preallocation=full"),
        ("vmdk", "subformat=monolithicSparse"),
        ("vmdk", "subformat=streamOptimized"),
        ("vdi", ""),
        ("vhd", "subformat=dynamic"),
        ("vhdx", "subformat=dynamic"),
        ("vhdx", "subformat=fixed"),
    ],
)
def test_what_qemu_img_writes_is_taken_and_can_be_imported(hosts: Hosts, declared: str, options: str) -> None:
    source, path, imported = f"{BASE}/disk.raw", f"{BASE}/image", f"{BASE}/imported.qcow2"
    told(hosts, "rm", "-f", source, path, imported)
    hosts.lab.make_image("h1", source, virtual=64 * MIB, data=4 * MIB)
    name = {"vhd": "vpc"}.get(declared, declared)  # as qemu calls it
    extra = ("-o", options) if options else ()
    told(hosts, "qemu-img", "convert", "-f", "raw", "-O", name, *extra, source, path)
    safe = ImageIsSafe("h1", path, declared, limit=65 * MIB)
    run = hosts.run([safe, FileConverted("h1", path, name, imported, Format.QCOW2)])
    assert (run.facts[0].format, run.facts[0].virtual_size // MIB) == (declared, 64)
    hosts.run([ImageIsSafe("h1", imported, "qcow2"), ImageOpens("h1", imported, Format.QCOW2)])
    told(hosts, "rm", "-f", source)
    hosts.run([FileConverted("h1", imported, "qcow2", source, Format.RAW)])
    assert told(hosts, "qemu-img", "compare", "-f", "raw", "-F", name, source, path) == "Images are identical.\n"
    for other in {"raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "iso"} - {declared}:
        assert not accepted(hosts, ImageIsSafe("h1", path, other)), other


def write(hosts: Hosts, *argv: str) -> None:
    """Let qemu-img make an image. For LUKS it times the processor, and at times finds its clock too coarse."""
    for _ in range(10):
        done = hosts.lab.host("h1").run(("qemu-img", "create", "-q", *argv))
        if "Unable to get accurate CPU usage" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("argv", "because"),
    [
        (("-f", "qcow2", "-b", f"{BASE}/base", "-F", "raw"), "needs another file"),
        (("-f", "qcow2", "-o", f"data_file={BASE}/data,data_file_raw=on"), "keeps its data in another file"),
        (("-f", "qcow2", "-o", "extended_l2=on"), "not known here"),
        (
            ("--object", "secret,id=s,data=x", "-f", "qcow2", "-o", "encrypt.format=luks,encrypt.key-secret=s"),
            "encrypted",
        ),
        (("-f", "qed"), "QED"),
        (("-f", "parallels"), "PARALLELS"),
        (("-f", "vmdk", "-o", "subformat=monolithicFlat"), "names other files"),
        (("-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse"), "names other files"),
    ],
)
def test_what_qemu_img_writes_with_a_second_file_or_a_secret_is_refused(
    hosts: Hosts, argv: tuple[str, ...], because: str
) -> None:
    told(hosts, "truncate", "-s", "64M", f"{BASE}/base")
    told(hosts, "rm", "-f", f"{BASE}/made", f"{BASE}/data")
    write(hosts, *argv, f"{BASE}/made", "64M")
    declared = "vmdk" if "vmdk" in argv else "qcow2"
    with pytest.raises(Refused, match=because):
        hosts.run([ImageIsSafe("h1", f"{BASE}/made", declared)])
    assert not accepted(hosts, ImageIsSafe("h1", f"{BASE}/made", "raw"))
    assert not accepted(hosts, ImageIsSafe("h1", f"{BASE}/made"))


def test_the_second_opinion_finds_the_same(hosts: Hosts) -> None:
    told(hosts, "truncate", "-s", "64M", f"{BASE}/base")
    overlay, data = f"{BASE}/overlay", f"{BASE}/with-data"
    told(hosts, "qemu-img", "create", "-q", "-f", "qcow2", "-b", f"{BASE}/base", "-F", "raw", overlay)
    told(hosts, "qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={BASE}/d", data, "64M")
    for path, needed in ((overlay, f"{BASE}/base"), (data, f"{BASE}/d")):
        with pytest.raises(Refused, match=f"needs another file, '{needed}'"):
            hosts.run([ImageOpens("h1", path, Format.QCOW2)])


def test_a_raw_disk_on_which_a_guest_wrote_a_qcow2_header_stays_raw(hosts: Hosts) -> None:
    """Resized, cloned, copied, converted: the host's file that the header names is read by nothing."""
    disk, secret = f"{BASE}/7/disk.0", f"{BASE}/secret"
    told(hosts, "mkdir", "-p", f"{BASE}/7")
    told(hosts, "dd", "if=/dev/urandom", f"of={secret}", "bs=1M", "count=1", "status=none")
    told(hosts, "qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", disk)
    told(hosts, "truncate", "-s", "2M", disk)
    before = told(hosts, "sha256sum", disk).split()[0]
    saved, converted, back, overlay = (f"{BASE}/{name}" for name in ("saved", "conv.qcow2", "back", "on-raw"))
    hosts.run(
        [
            FileCopied("h1", disk, saved),
            FileConverted("h1", disk, "raw", converted, Format.QCOW2),
            ReflinkExists("h1", disk, f"{BASE}/8/disk.0", True),
            OverlayExists("h1", disk, Format.RAW, overlay),
        ]
    )
    hosts.run([FileConverted("h1", converted, "qcow2", back, Format.RAW)])
    for copy in (disk, saved, f"{BASE}/8/disk.0", back):
        assert told(hosts, "sha256sum", copy).split()[0] == before, copy
    hosts.run([ImageResized("h1", disk, Format.RAW, 4 * MIB)])
    told(hosts, "truncate", "-s", "2M", disk)
    assert told(hosts, "sha256sum", disk).split()[0] == before
    backing = told(hosts, "qemu-img", "info", "--output=json", "-f", "qcow2", overlay)
    assert f'"backing-filename": "{disk}"' in backing and '"backing-filename-format": "raw"' in backing

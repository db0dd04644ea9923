"""Images as an attacker would write them, made byte by byte, and a few honest ones to tell them from."""

from __future__ import annotations

import struct
from dataclasses import dataclass

MIB = 1 << 20
CLUSTER = 1 << 16


def qcow2(
    *,
    version: int = 3,
    backing: str = "",
    features: int = 0,
    crypt: int = 0,
    size: int = 64 * MIB,
    cut: int = 0,
    cluster_bits: int = 16,
) -> bytes:
    """Return an empty qcow2 image: header, refcount table, one refcount block, L1 table. ``cut``: bytes to keep."""
    name = backing.encode()
    at = 512 if name else 0
    entries = max(1, -(-size // (CLUSTER * CLUSTER // 8)))
    header = struct.pack(
        ">4sIQIIQIIQQIIQ",
        b"QFI\xfb", version, at, len(name), cluster_bits, size, crypt, entries, 3 * CLUSTER, CLUSTER, 1, 0, 0,
    )  # fmt: skip
    header += struct.pack(">QQQII", features, 0, 0, 4, 104)
    image = bytearray(3 * CLUSTER + 8 * entries)
    image[: len(header)] = header
    image[at : at + len(name)] = name
    struct.pack_into(">Q", image, CLUSTER, 2 * CLUSTER)
    struct.pack_into(">4H", image, 2 * CLUSTER, 1, 1, 1, 1)
    return bytes(image[:cut] if cut else image)


SPARSE = 'RW 131072 SPARSE "disk.vmdk"'


def descriptor(*extents: str, kind: str = "monolithicSparse") -> bytes:
    text = f'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="{kind}"\n'
    return (text + "\n".join(extents) + '\nddb.adapterType = "ide"\n').encode()


def vmdk(text: bytes, *, capacity: int = 131072, version: int = 1) -> bytes:
    """Return a sparse VMDK: its header, and ``text`` as the embedded descriptor. ``capacity`` in sectors."""
    header = struct.pack("<4sIIQQQQIQQ", b"KDMV", version, 3, capacity, 128, 1, 20, 512, 0, 21)
    return header.ljust(512, b"\0") + text.ljust(20 * 512, b"\0") + bytes(4 * CLUSTER)


def at(offset: int, content: bytes, size: int = 2 * MIB) -> bytes:
    """Return ``size`` zero bytes with ``content`` at ``offset``."""
    image = bytearray(size)
    image[offset : offset + len(content)] = content
    return bytes(image)


def over(image: bytes, offset: int, content: bytes) -> bytes:
    """Return ``image``, made long enough, with ``content`` at ``offset``."""
    longer = bytearray(image.ljust(offset + len(content), b"\0"))
    longer[offset : offset + len(content)] = content
    return bytes(longer)


def iso() -> bytes:
    volume = bytearray(2048)
    volume[:7] = b"\1CD001\1"
    struct.pack_into("<I", volume, 80, 200)
    struct.pack_into("<H", volume, 128, 2048)
    return at(16 * 2048, bytes(volume), 200 * 2048)


def mbr(partition: bytes = b"", *, kind: int = 0x83) -> bytes:
    """Return a disk with one partition at 1 MiB that holds ``partition``."""
    entry = struct.pack("<B3BB3BII", 0x80, 0, 2, 0, kind, 0, 0, 0, 2048, 2048)
    return over(at(446, entry + bytes(48) + b"\x55\xaa"), MIB, partition)


@dataclass(frozen=True)
class Hostile:
    """An image that must be refused when it is declared ``declared``; ``because`` is part of the reason."""

    name: str
    content: bytes
    declared: str
    because: str


HOSTILE = [
    Hostile("backing-file", qcow2(backing="/etc/passwd"), "qcow2", "needs another file"),
    Hostile("backing-file-v2", qcow2(version=2, backing="/etc/passwd"), "qcow2", "needs another file"),
    Hostile("backing-json", qcow2(backing='json:{"driver":"file","filename":"/etc/x"}'), "qcow2", "needs another file"),
    Hostile("data-file", qcow2(features=1 << 2), "qcow2", "keeps its data in another file"),
    Hostile("unknown-feature", qcow2(features=1 << 5), "qcow2", "not known here"),
    Hostile("unknown-high-feature", qcow2(features=1 << 63), "qcow2", "not known here"),
    Hostile("extended-l2", qcow2(features=1 << 4), "qcow2", "not known here"),
    Hostile("encrypted-aes", qcow2(crypt=1), "qcow2", "encrypted"),
    Hostile("encrypted-luks", qcow2(crypt=2), "qcow2", "encrypted"),
    Hostile("corrupt", qcow2(features=1 << 1), "qcow2", "marked corrupt"),
    Hostile("cut-off", qcow2(cut=CLUSTER), "qcow2", "beyond its end"),
    Hostile("header-only", qcow2(cut=72), "qcow2", "cannot be read"),
    Hostile("magic-only", b"QFI\xfb", "qcow2", "cannot be read"),
    Hostile("impossible-clusters", qcow2(cluster_bits=63), "qcow2", "cluster size"),
    Hostile("qcow-1", qcow2(version=1), "qcow2", "version"),
    Hostile("qcow2-as-raw", qcow2(), "raw", "declared raw, but it is QCOW2"),
    Hostile("qcow2-with-backing-as-raw", qcow2(backing="/etc/shadow"), "raw", "declared raw, but it is QCOW2"),
    Hostile("qcow2-as-iso", qcow2(), "iso", "declared iso, but it is QCOW2"),
    Hostile("raw-as-qcow2", bytes(MIB), "qcow2", "declared qcow2, but it is plain bytes"),
    Hostile("raw-as-iso", bytes(MIB), "iso", "declared iso, but it is plain bytes"),
    Hostile("iso-as-qcow2", iso(), "qcow2", "declared qcow2, but it is ISO"),
    Hostile("qcow2-in-a-partition-as-qcow2", mbr(qcow2()), "qcow2", "declared qcow2, but it is GPT"),
    Hostile("vmdk-as-raw", vmdk(descriptor(SPARSE)), "raw", "declared raw, but it is VMDK"),
    Hostile("vmdk-two-extents", vmdk(descriptor(SPARSE, 'RW 1 SPARSE "b"')), "vmdk", "names other files"),
    Hostile("vmdk-absolute", vmdk(descriptor('RW 1 FLAT "/etc/passwd" 0')), "vmdk", "names other files"),
    Hostile("vmdk-sibling", vmdk(descriptor('RW 1 FLAT "disk.0" 0')), "vmdk", "names other files"),
    Hostile("vmdk-no-capacity", vmdk(descriptor(SPARSE), capacity=0), "vmdk", "names other files"),
    Hostile("vmdk-flat", descriptor('RW 1 FLAT "/etc/passwd" 0', kind="monolithicFlat"), "vmdk", "names other files"),
    Hostile("vmdk-flat-as-raw", descriptor('RW 1 FLAT "/etc/passwd" 0', kind="monolithicFlat"), "raw", "it is VMDK"),
    Hostile("vmdk-text-as-raw", b"# x\n \n#y\nversion=1\n" + bytes(600), "raw", "it is VMDK"),
    Hostile("vmdk-odd-version", vmdk(descriptor(SPARSE), version=9), "vmdk", "cannot be read"),
    Hostile("vmdk-odd-version-as-raw", vmdk(descriptor(SPARSE), version=9), "raw", "it is VMDK"),
    Hostile("vmdk3-as-raw", at(0, b"COWD\1\0\0\0"), "raw", "it is VMDK"),
    Hostile("qed", at(0, b"QED\0"), "raw", "it is QED"),
    Hostile("vhd-as-raw", at(0, b"conectix" + bytes(504)), "raw", "it is VHD"),
    Hostile("vhdx-as-raw", at(0, b"vhdxfile"), "raw", "it is VHDX"),
    Hostile("vdi-as-raw", at(0x40, b"\x7f\x10\xda\xbe"), "raw", "it is VDI"),
    Hostile("parallels", at(0, b"WithoutFreeSpace"), "raw", "it is PARALLELS"),
    Hostile("bochs", at(0, b"Bochs Virtual HD Image\0"), "raw", "it is BOCHS"),
    Hostile("cloop", at(0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop"), "raw", "it is CLOOP"),
    Hostile("qcow2-and-iso", over(qcow2(), 16 * 2048, iso()[16 * 2048 : 17 * 2048]), "qcow2", "several things at once"),
    Hostile("qcow2-and-iso-as-iso", over(qcow2(), 16 * 2048, iso()[16 * 2048 : 17 * 2048]), "iso", "several things"),
    Hostile("qcow2-and-mbr", over(qcow2(), 510, b"\x55\xaa"), "qcow2", "several things at once"),
    Hostile("qcow2-in-gpt", over(mbr(kind=0xEE), 0, qcow2()[:104]), "raw", "several things at once"),
    Hostile("qcow2-and-vdi", over(qcow2(), 0x40, b"\x7f\x10\xda\xbe"), "qcow2", "several things at once"),
]

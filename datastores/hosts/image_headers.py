"""What the first and the last bytes of a file say: its format, its size for a guest, and what is wrong with it.

Decided in this process, before any tool of a host opens the file. Three opinions are joined: the signatures that
QEMU itself would recognise, the inspectors of oslo.utils, and checks of the qcow2 and VMDK headers that those lack.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

from oslo_utils.imageutils import format_inspector as oslo

HEAD = 4 << 20
"""Bytes needed from the beginning: a VHDX file keeps its size two or three MiB into the file."""
TAIL = 4096
"""Bytes needed from the end: a VMDK may keep its real header in the last 1536."""
PIECE = 1 << 16

# Offset, bytes and name; from the probe functions of QEMU's block drivers.
SIGNATURES = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"QED\0", "qed"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (0, b"Bochs Virtual HD Image", "bochs"),
    (0, b"#!/bin/sh\n#V2.0 Format\n", "cloop"),
)
TEXT_VMDK = re.compile(rb"\A\s*(?:#[^\n]*\n\s*)*version\s*=|\A\s*# *disk descriptor", re.IGNORECASE)

WRAPPED = frozenset({"qcow2", "qed", "vmdk", "vhdx", "vhd", "vdi", "parallels", "bochs", "cloop"})
"""Formats that a tool has to interpret; whatever else a file holds is a disk or CD as it is."""

WORDS = {
    "backing_file": "it needs another file (a backing file)",
    "data_file": "it keeps its data in another file",
    "unknown_features": "it uses features, or a version, of qcow2 that are not known here",
    "descriptor": "its descriptor names other files or is of a kind that is not safe",
    "footer": "its footer contradicts its header",
    "banned": "files of this format are not taken",
}

# What a broken or hostile file can make an inspector raise: it reads offsets from the file itself, and one attribute
# is only there after a descriptor could be decoded.
NOT_READABLE = (oslo.ImageFormatError, struct.error, ValueError, LookupError, AttributeError)

QCOW2 = struct.Struct(">4sIQIIQIIQQIIQ")
CORRUPT = 1 << 1
EXTENSION = struct.Struct(">II")
BACKING_FORMAT = 0xE2792ACA
SPARSE = struct.Struct("<4sIIQ")  # signature, version, flags, capacity in sectors
EXTENT = re.compile(r"^(?:rw|rdonly|noaccess)\s+\d+\s+(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Header:
    """``formats`` has more than one name when the file could be taken for several things, and none for plain bytes.

    ``virtual_size`` is in bytes and 0 where the file's own size counts; ``dangers`` are parts of sentences.
    """

    formats: tuple[str, ...]
    virtual_size: int = 0
    dangers: tuple[str, ...] = ()


def examine(head: bytes, tail: bytes, size: int) -> Header:
    """Return what a file of ``size`` bytes is that begins with ``head`` (HEAD bytes, or all) and ends with ``tail``."""
    signed = {name for offset, magic, name in SIGNATURES if head.startswith(magic, offset)}
    if TEXT_VMDK.match(head[:PIECE]):
        signed.add("vmdk")
    inspectors = {name: inspector for name in oslo.ALL_FORMATS if (inspector := _inspect(name, head, tail, size))}
    names = signed | inspectors.keys()
    dangers: list[str] = []
    virtual_size = 0
    for name in sorted(names & WRAPPED):
        if name in inspectors:
            virtual_size = inspectors[name].virtual_size
            dangers += _violations(inspectors[name])
            dangers += _qcow2(head, size) if name == "qcow2" else ()
            dangers += _vmdk(head, inspectors[name]) if name == "vmdk" else ()
        else:
            dangers.append(f"its {name} header cannot be read")
    return Header(tuple(sorted(names)), virtual_size, tuple(dict.fromkeys(dangers)))


def _inspect(name: str, head: bytes, tail: bytes, size: int) -> oslo.FileInspector | None:
    """Return the inspector that recognises the file. The tail matters to VMDK alone: others would misplace it."""
    if name == "raw":
        return None
    inspector = oslo.ALL_FORMATS[name]()
    beyond = tail[-(size - len(head)) :] if name == "vmdk" and size > len(head) else b""
    stream = io.BytesIO(head + beyond)
    try:
        while piece := stream.read(PIECE):
            inspector.eat_chunk(piece)
        inspector.finish()
        return inspector if inspector.format_match else None
    except NOT_READABLE:
        return None


def _violations(inspector: oslo.FileInspector) -> list[str]:
    try:
        inspector.safety_check()
    except oslo.SafetyCheckFailed as failed:
        return [WORDS.get(check, f"it fails the check {check}") for check in failed.failures]
    except NOT_READABLE:
        return ["its header is incomplete or broken"]
    return []


def _qcow2(head: bytes, size: int) -> list[str]:
    """Check what oslo.utils leaves out: encryption, the corrupt mark, and a file that was cut off."""
    if len(head) < QCOW2.size + 8:
        return ["its header is incomplete or broken"]
    fields = QCOW2.unpack_from(head)
    version, crypt, l1_entries, l1_offset, refcounts, refcount_clusters = (fields[at] for at in (1, 6, 7, 8, 9, 10))
    cluster_bits = fields[4]
    if not 9 <= cluster_bits <= 21:
        return ["its cluster size is impossible"]
    found = []
    if crypt:
        found.append("it is encrypted, so no host could start a VM from it")
    if version >= 3 and struct.unpack_from(">Q", head, 72)[0] & CORRUPT:
        found.append("it is marked corrupt")
    if l1_offset + 8 * l1_entries > size or refcounts + (refcount_clusters << cluster_bits) > size:
        found.append("it is cut off: its tables lie beyond its end")
    return found


@dataclass(frozen=True, slots=True)
class Qcow2Head:
    """``virtual_size`` in bytes; ``backing`` is the file that it names and the format that it declares; "" for none."""

    virtual_size: int
    backing: tuple[str, str] = ("", "")


def qcow2_head(head: bytes) -> Qcow2Head:
    """Return what a qcow2 file says of itself and of what it stands on.

    ``head``: what the file begins with, at least to the end of the name, which QEMU writes behind the extensions
    (docs/interop/qcow2.txt of QEMU).

    :raises ValueError: this is not such a beginning of a qcow2 file.
    """
    try:
        magic, version, place, size, _, virtual_size = QCOW2.unpack_from(head)[:6]
        end = place or len(head)
        extension = struct.unpack_from(">I", head, 100)[0] if version >= 3 else QCOW2.size
        format_ = b""
        while extension < end and (kind := EXTENSION.unpack_from(head, extension))[0]:
            extension += EXTENSION.size
            if kind[0] == BACKING_FORMAT:
                format_ = head[extension : extension + kind[1]]
            extension += -(-kind[1] // 8) * 8
    except struct.error as error:
        raise ValueError("it ends within its header") from error
    if magic != b"QFI\xfb" or place + size > len(head):
        raise ValueError("its header is not that of a qcow2 file made here")
    backing = head[place : place + size].decode("utf-8", "surrogateescape")
    return Qcow2Head(virtual_size, (backing, format_.decode("ascii", "replace")))


def _vmdk(head: bytes, inspector: oslo.FileInspector) -> list[str]:
    """Check that QEMU reads the disk from this very file: with a capacity of 0 it would open what the text names."""
    signature, _, _, capacity = SPARSE.unpack_from(head.ljust(SPARSE.size, b"\0"))
    text = inspector.desc_text or "" if isinstance(inspector, oslo.VMDKInspector) else ""
    if signature != b"KDMV" or not capacity or EXTENT.findall(text) != ["sparse"]:
        return [WORDS["descriptor"]]
    return []

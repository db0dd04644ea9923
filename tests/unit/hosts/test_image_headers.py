"""What is made of hostile images, before any tool may open them."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain.errors import Refused
from datastores.domain.plan import Output
from datastores.hosts.image_headers import HEAD, SIGNATURES, TAIL, WRAPPED, Qcow2Head, examine, qcow2_head
from datastores.hosts.inspection import ImageFacts, ImageIsSafe
from tests.hostile_images import (
    HOSTILE,
    MIB,
    SPARSE,
    Hostile,
    at,
    descriptor,
    iso,
    mbr,
    over,
    qcow2,
    vmdk,
)

PATH = "/srv/ds/0d5c.raw"


def facts_of(step: ImageIsSafe, content: bytes, *, size: int = 0) -> ImageFacts:
    """Return the facts of a file with this content (``size``: of a longer one that goes on with zeros)."""
    size = size or len(content)
    stat = f"81a0/{size}/8/512/1:2/1/root/root/640/1.000000000/{step.path}\0".encode()
    tail = content[-TAIL:] if size == len(content) else bytes(TAIL)
    return step.facts([Output(0, stat), Output(0, content[:HEAD]), Output(0, tail)])


def judge(content: bytes, declared: str | None, *, limit: int = 0, size: int = 0) -> ImageFacts:
    """Return the facts of an image that is taken; raise Refused for one that is not."""
    step = ImageIsSafe("h1", PATH, declared, limit)
    facts = facts_of(step, content, size=size)
    assert step.plan(facts) is None
    return facts


@pytest.mark.parametrize("image", HOSTILE, ids=lambda image: image.name)
def test_a_hostile_image_is_refused_with_its_reason(image: Hostile) -> None:
    with pytest.raises(Refused, match=image.because) as refused:
        judge(image.content, image.declared)
    assert "No tool has opened it" in str(refused.value)
    assert "/etc/" not in str(refused.value)


@pytest.mark.parametrize("declared", ["raw", "qcow2", "iso", "vmdk", "vdi", "vhd", "vhdx", None])
@pytest.mark.parametrize("image", HOSTILE, ids=lambda image: image.name)
def test_it_is_not_taken_for_anything_that_it_is_not(image: Hostile, declared: str | None) -> None:
    step = ImageIsSafe("h1", PATH, declared)
    facts = facts_of(step, image.content)
    try:
        step.plan(facts)
    except Refused:
        return
    assert declared != image.declared
    assert facts.format == (declared or facts.format) or (declared, facts.format) == ("raw", "iso")
    assert facts.header is not None
    assert not facts.header.dangers


@pytest.mark.parametrize(
    ("content", "declared", "format", "virtual_size"),
    [
        (qcow2(size=5 * MIB), "qcow2", "qcow2", 5 * MIB),
        (qcow2(version=2, size=5 * MIB), "qcow2", "qcow2", 5 * MIB),
        (qcow2(features=1 | 1 << 3), None, "qcow2", 64 * MIB),  # dirty, and another compression
        (bytes(MIB), "raw", "raw", MIB),
        (bytes(MIB), None, "raw", MIB),
        (b"x" * 700, "raw", "raw", 700),
        (b"a" * 512 + b"\xff" * 512, "raw", "raw", 1024),  # text, then none: not a broken VMDK
        (iso(), "iso", "iso", 200 * 2048),
        (iso(), None, "iso", 200 * 2048),
        (over(iso(), 510, b"\x55\xaa"), "iso", "iso", 200 * 2048),  # boots from a stick too
        (iso(), "raw", "iso", 200 * 2048),
        (mbr(), "raw", "raw", 2 * MIB),
        (mbr(qcow2(backing="/etc/passwd")), "raw", "raw", 2 * MIB),  # what guests keep is their affair
        (over(mbr(), 446 + 16, b"\x7f" + bytes(15)), "raw", "raw", 2 * MIB),  # a boot sector of another kind
        (at(MIB, b"QFI\xfb"), "raw", "raw", 2 * MIB),
        (at(0, b"LUKS\xba\xbe\0\1"), "raw", "raw", 2 * MIB),
        (vmdk(descriptor(SPARSE)), "vmdk", "vmdk", 64 * MIB),
    ],
)  # fmt: skip
def test_an_honest_image_is_taken_for_what_it_is(
    content: bytes, declared: str | None, format: str, virtual_size: int
) -> None:
    facts = judge(content, declared)
    assert (facts.format, facts.virtual_size, facts.allocated) == (format, virtual_size, 4096)


def test_a_foreign_format_is_not_stored_unasked() -> None:
    with pytest.raises(Refused, match="only raw, qcow2 and ISO images are stored"):
        judge(vmdk(descriptor(SPARSE)), None)


def test_the_size_that_a_guest_would_see_is_limited_by_the_header() -> None:
    with pytest.raises(Refused, match="1 PiB in it, and at most 1 GiB"):
        judge(qcow2(size=1 << 50, cut=0), "qcow2", limit=1 << 30)
    with pytest.raises(Refused, match="2 GiB in it, and at most 1 GiB"):
        judge(bytes(HEAD), "raw", limit=1 << 30, size=2 << 30)


def test_a_footer_that_contradicts_its_header_is_refused() -> None:
    header = bytearray(vmdk(descriptor(SPARSE)))
    header[56:64] = b"\xff" * 8  # the grain directory is at the end
    evil = over(bytes(HEAD + MIB), 0, bytes(header))
    with pytest.raises(Refused, match="footer contradicts"):
        judge(evil, "vmdk")


@given(st.binary(max_size=2048))
def test_no_bytes_break_the_inspection(content: bytes) -> None:
    examine(content, content[-TAIL:], len(content))


MAGIC = st.sampled_from([(offset, magic) for offset, magic, name in SIGNATURES if name in WRAPPED])


@given(MAGIC, st.binary(max_size=1200), st.integers(0, 1 << 40))
def test_whatever_begins_like_an_interpreted_format_is_never_raw(
    signature: tuple[int, bytes], content: bytes, size: int
) -> None:
    image = over(content, *signature)
    facts = facts_of(ImageIsSafe("h1", PATH, "raw"), image, size=max(size, len(image)))
    with pytest.raises(Refused):
        ImageIsSafe("h1", PATH, "raw").plan(facts)


@given(st.integers(0, 103), st.binary(min_size=1, max_size=16))
def test_a_damaged_qcow2_header_is_refused_or_harmless(offset: int, noise: bytes) -> None:
    content = over(qcow2(), offset, noise)
    step = ImageIsSafe("h1", PATH, "qcow2")
    facts = facts_of(step, content)
    try:
        step.plan(facts)
    except Refused:
        return
    assert content[:4] == b"QFI\xfb"
    assert content[8:16] == bytes(8)  # no backing file
    assert content[32:36] == bytes(4)  # not encrypted
    version = int.from_bytes(content[4:8], "big")
    assert version in {2, 3}
    if version == 3:
        assert int.from_bytes(content[72:80], "big") & ~0b1001 == 0


# ---- the base of an overlay


def overlay(base: str, format_: str, *, version: str = "1.1") -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory, "overlay.qcow2")
        options = ("-u", "-o", f"compat={version}", "-b", base, "-F", format_) if base else ()
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, str(made), "64M"], check=True)
        return made.read_bytes()[:4096]


@pytest.mark.parametrize("version", ["1.1", "0.10"])
@pytest.mark.parametrize(("base", "format_"), [("/srv/ds/6f1c.raw", "raw"), (f"/srv/{'ü' * 500}", "qcow2"), ("", "")])
def test_the_size_and_base_that_qemu_writes_into_an_overlay_are_read(version: str, base: str, format_: str) -> None:
    assert qcow2_head(overlay(base, format_, version=version)) == Qcow2Head(64 << 20, (base, format_))


@given(st.binary(max_size=200), st.integers(0, 4096))
def test_bytes_that_are_no_whole_header_have_no_base(noise: bytes, length: int) -> None:
    whole = overlay_once()
    for content in (noise, whole[:length], (whole[:length] + noise)[:4096]):
        try:
            base, format_ = qcow2_head(content).backing
        except ValueError:
            continue
        assert isinstance(base, str)
        assert isinstance(format_, str)


@functools.cache
def overlay_once() -> bytes:
    return overlay("/srv/ds/6f1c.raw", "raw")

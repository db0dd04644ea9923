"""qemu-img never guesses: the argv lists are made in one module, and each names every format."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import datastores
from datastores.domain.volumes import Format
from datastores.hosts import qemu_img
from datastores.hosts.copies import FileConverted, FileCopied
from datastores.hosts.inodes import Inode
from datastores.hosts.sizes import ImageResized, SizeFacts
from tests.sources import parsed

TREE = Path(datastores.__file__).parent
CASES = Path(__file__).parent / "cases"
TOOL = re.compile(r"\bqemu-img\b")
VERBS = frozenset(
    {"amend", "bench", "bitmap", "check", "commit", "compare", "convert", "create", "dd", "info", "map", "measure"}
    | {"rebase", "resize", "snapshot"}
)

FORMATS = frozenset(format.qemu for format in Format)
ARGV = {
    "ask_info": [qemu_img.ask_info("/srv/x", "raw")],
    "ask_opened": [qemu_img.ask_opened(qemu_img.opened("/dev/vg/a", "raw", 512))],
    "ask_whether_opens": [qemu_img.ask_whether_opens("rbd:vms/x", "raw", 20.0)],
    "ask_info_if_there": [qemu_img.ask_info_if_there("/srv/x", "qcow2")],
    "ask_size_unless_there": [qemu_img.ask_size_unless_there("/srv/y", "/srv/x", "qcow2")],
    "convert": [qemu_img.convert("/srv/x", "raw", "/srv/y", "qcow2")],
    "onto_device": [
        qemu_img.onto_device(qemu_img.opened("/srv/x", "qcow2"), "/dev/vg/lv", is_zero=True),
        qemu_img.onto_device(qemu_img.opened("/dev/vg/a", "raw", 512), "/dev/vg/lv", is_zero=False),
    ],
    "to_raw": [
        qemu_img.to_raw(qemu_img.opened("/srv/x", "qcow2"), "rbd:vms/x"),
        qemu_img.to_raw(qemu_img.opened("/dev/vg/lv", "raw", 512), "/srv/x"),
    ],
    "compare": [
        qemu_img.compare(qemu_img.opened("/srv/x", "qcow2"), qemu_img.opened("rbd:vms/x", "raw")),
        qemu_img.compare(qemu_img.opened("/dev/vg/a", "raw", 512), qemu_img.opened("/srv/x,y", "qcow2")),
        qemu_img.compare(qemu_img.opened("/srv/x", "qcow2"), qemu_img.opened("/dev/vg/a", "raw", 512)),
    ],
    "create": [
        qemu_img.create("/srv/x", 512),
        qemu_img.create("/srv/x", base="/srv/b", base_format="raw"),
        qemu_img.create("/srv/x", 512, base="/srv/b", base_format="qcow2"),
    ],
    "resize": [qemu_img.resize("/srv/x", 512)],
    "snapshot": [qemu_img.snapshot(verb, "one", "/srv/x") for verb in ("-c", "-a", "-d")],
}
"""What every function makes that builds a command."""


def names_every_format(argv: list[str]) -> bool:
    """Tell whether a qemu-img argv names the format of each file that it opens."""
    verb, rest = argv[1], argv[2:]
    if verb == "snapshot":
        return "--image-opts" in rest and rest[-1].startswith("driver=qcow2,")
    if verb == "compare" and "--image-opts" in rest:
        return all(word.startswith(tuple(f"driver={format}," for format in FORMATS)) for word in rest[-2:])
    source = [] if "--image-opts" in rest and any(word.startswith("driver=raw,") for word in rest) else ["-f"]
    wanted = [
        *source,
        *(["-O"] if verb in {"convert", "measure"} else []),
        *(["-F"] if "-b" in rest or verb == "compare" else []),
    ]
    return all(option in rest and rest[rest.index(option) + 1] in FORMATS for option in wanted)


def commands_in(value: Any) -> Iterator[list[str]]:
    """Yield the argv lists of a golden case that call qemu-img."""
    if isinstance(value, str):
        words = shlex.split(value) if TOOL.search(value) and not value.startswith("qemu-img: ") else []
        if "qemu-img" in words:
            yield words[words.index("qemu-img") :]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from commands_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from commands_in(inner)


def opened_by(tree: ast.AST) -> Iterator[str]:
    """Yield the programs of the tree's argv lists that open images."""
    for node in ast.walk(tree):
        match node:
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.Call(args=parts):
                words = [part.value if isinstance(part, ast.Constant) else "" for part in parts]
            case _:
                continue
        yield from (word for word in words if word in {"qemu-nbd", "qemu-io", "qemu-storage-daemon"})
        yield from (first for first, second in pairwise(words) if first == "qemu-img" and second in VERBS)


def test_only_one_module_opens_images() -> None:
    callers = {path.name for path in TREE.rglob("*.py") for _ in opened_by(parsed(path.read_text()))}
    assert callers == {"qemu_img.py"}


@pytest.mark.parametrize(
    "argv",
    [
        "qemu-img convert -q -O qcow2 -- /srv/x /srv/y",
        "qemu-img convert -q -f raw -- /srv/x /srv/y",
        "qemu-img measure -U -O qcow2 -- /srv/x",
        "qemu-img create -q -f qcow2 -b /srv/b -- /srv/x",
        "qemu-img create -q -f qcow2 -F -b /srv/b -- /srv/x",
        "qemu-img compare -q -f raw -- /srv/x /srv/y",
        "qemu-img compare -q --image-opts -- driver=raw,file.filename=/srv/x file.filename=/srv/y",
        "qemu-img info -U -- /srv/x",
        "qemu-img resize -q -- /srv/x 512",
        "qemu-img snapshot -q -c one -- /srv/x",
        "qemu-img snapshot -q --image-opts -c one -- file.filename=/srv/x",
    ],
)
def test_a_format_that_is_not_named_is_seen(argv: str) -> None:
    assert not names_every_format(argv.split())


@pytest.mark.parametrize("builder", ARGV)
def test_every_command_names_its_formats(builder: str) -> None:
    for command in ARGV[builder]:
        argv = command.argv
        assert names_every_format(list(argv[argv.index("qemu-img") :])), argv


def test_no_builder_is_left_out() -> None:
    ours = {name: each for name, each in vars(qemu_img).items() if getattr(each, "__module__", "") == qemu_img.__name__}
    assert {name for name, each in ours.items() if getattr(each, "__annotations__", {}).get("return") == "Command"} == {
        *ARGV
    }


def test_every_planned_command_names_its_formats() -> None:
    found = [argv for path in CASES.rglob("*.json") for argv in commands_in(json.loads(path.read_text()))]
    assert len(found) > 20
    assert all(names_every_format(argv) for argv in found)


def test_a_file_that_may_be_hostile_is_opened_within_limits() -> None:
    for builder in ARGV.keys() - {"create", "resize", "snapshot", "ask_whether_opens"}:
        for command in ARGV[builder]:
            argv = command.argv[: command.argv.index("qemu-img")]
            assert "prlimit" in argv
            assert any(word.startswith("--as=") for word in argv)


def test_a_comma_in_a_path_does_not_end_the_option() -> None:
    *_, image = qemu_img.snapshot("-c", "one", "/srv/a,driver=raw").argv
    assert image == "driver=qcow2,file.driver=file,file.filename=/srv/a,,driver=raw"


def test_a_raw_disk_on_which_a_guest_wrote_a_qcow2_header_stays_raw() -> None:
    """The declared format decides, whatever the bytes: it is grown, copied and saved as raw."""
    path = "/srv/ds/7/disk.0"
    disk = Inode(path, 0o100660, 1 << 20, 4096, "1:2", 1, "root", "root", "0660", "1.000000000")
    grow = ImageResized("h1", path, Format.RAW, 2 << 20).plan(SizeFacts(disk, disk.size))
    assert grow is not None
    assert grow.actions[0].do.argv[0] == "truncate"  # type: ignore[union-attr]
    assert not any("qemu-img" in command.argv for command in FileCopied("h1", path, "/srv/ds/a.raw").reads())
    saved = FileConverted("h1", path, "raw", "/srv/ds/a.qcow2", Format.QCOW2)
    asked = [command.argv for command in saved.reads() if path in command.argv and "qemu-img" in command.argv]
    assert asked and all(argv[argv.index("-f") + 1] == "raw" for argv in asked)

"""qemu-img, always told the format, and limited where the file may be hostile.

A guest may write any header to its raw disk; a qemu-img that guesses would then follow it to other files of the
host. So every argv is built here, and each names the format of every file it opens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.domain.volumes import Format
from datastores.hosts.inodes import Files, look, seen, the_file
from datastores.hosts.parsing import canonical_path

INFO_MEMORY = 1 << 30
INFO_SECONDS = 10
MEASURE_SECONDS = 60
"""It reads the tables of the whole disk: half a gigabyte for 4 TiB of qcow2."""
CONVERT_MEMORY = 4 << 30
"""Address space: a header may ask for tables of any size. Converting has its threads' stacks besides."""
SNAPSHOT_SECONDS = 3600.0
"""The tables of the whole disk are written: on a large and scattered one for many minutes."""
IF_THERE = '[ -f "$1" ] && shift && exec "$@"'
UNLESS_THERE = '[ -e "$1" ] || { shift && exec "$@"; }'


BENCH = """
bench() { timeout -k 5 "$patience" qemu-img bench "$@" >>"$said" 2>&1 || tell failed QEMU $?; }
blocks=$((size / 1048576))
bench -w -c $blocks -d 4 -s 1048576 --flush-interval=$blocks -t none "$@"
bench -c $blocks -d 4 -s 1048576 -t none "$@"
bench -w -c "$small" -d 16 -s 4096 -S 1052672 --flush-interval="$small" -t none "$@"
bench -c "$small" -d 16 -s 4096 -S 1052672 -t none "$@"
"""
"""Let QEMU write and read a raw disk, named as by ``opened``: 1 MiB blocks one after another, then 4 KiB blocks here
and there (each a MiB behind the last). It counts blocks, not seconds: $small of them; $patience is in seconds.
"""


@dataclass(frozen=True, slots=True)
class InternalSnapshot:
    """A snapshot inside a qcow2 file; ``taken`` is in seconds since 1970 with nine decimals."""

    name: str
    taken: str


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What qemu-img says of a file; ``virtual_size`` in bytes."""

    format: str
    virtual_size: int
    backing: str = ""
    backing_format: str = ""
    data_file: str = ""
    encrypted: bool = False
    corrupt: bool = False
    snapshots: tuple[InternalSnapshot, ...] = ()

    def snapshot(self, name: str) -> InternalSnapshot | None:
        return next((found for found in self.snapshots if found.name == name), None)


def ask_info(path: str, format: str) -> Command:
    """Return the read that opens ``path`` as ``format``, also when a guest is using it."""
    return ask_opened(opened(path, format))


def ask_opened(source: tuple[str, ...]) -> Command:
    """Return the same for a ``source`` of ``opened``."""
    limits = (f"--as={INFO_MEMORY}", f"--cpu={INFO_SECONDS}")
    return read("prlimit", *limits, "--", "qemu-img", "info", "--output=json", "-U", *source, root=True)


def ask_whether_opens(path: str, format: str, seconds: float) -> Command:
    """Return the read that tells whether QEMU gets as far as opening what no guest wrote."""
    return read("qemu-img", "info", "--output=json", *opened(path, format), root=True, timeout=seconds)


def ask_info_if_there(path: str, format: str) -> Command:
    """Return the same for a file that is usually not there yet: starting qemu-img costs ten times a look."""
    return read("sh", "-c", IF_THERE, "sh", path, *ask_info(path, format).argv, root=True)


def info(command: Command, output: Output) -> ImageInfo:
    """Return what ``ask_info`` learned. Ask ``stat`` whether the file is there at all.

    :raises CommandFailed: qemu-img could not open it as that format.
    """
    _require(command, output)
    said = json.loads(output.stdout)
    details = said.get("format-specific", {}).get("data", {})
    return ImageInfo(
        format=said["format"],
        virtual_size=said["virtual-size"],
        backing=said.get("full-backing-filename", said.get("backing-filename", "")),
        backing_format=said.get("backing-filename-format", ""),
        data_file=details.get("data-file", ""),
        encrypted=bool(said.get("encrypted")),
        corrupt=bool(details.get("corrupt")),
        snapshots=tuple(
            InternalSnapshot(each["name"], f"{each['date-sec']}.{each['date-nsec']:09d}")
            for each in said.get("snapshots", ())
        ),
    )


def _require(command: Command, output: Output) -> None:
    if not output.ok:
        raise CommandFailed(command.argv[command.argv.index("qemu-img") :], output.exit_status, output.stderr)


def ask_size_unless_there(target: str, source: str, source_format: str) -> Command:
    """Return the read that tells how many bytes a conversion of ``source`` is going to write to ``target``.

    What lies in backing files counts, and what is compressed counts whole. Once the target is there nobody asks.
    """
    limits = (f"--as={INFO_MEMORY}", f"--cpu={MEASURE_SECONDS}")
    # of a raw target qemu-img tells the whole length; a qcow2 file takes what is really written, and some tables
    measure = ("qemu-img", "measure", "--output=json", "-U", "-f", source_format, "-O", "qcow2", "--", source)
    asked = ("sh", "-c", UNLESS_THERE, "sh", target, "prlimit", *limits, "--", *measure)
    return read(*asked, root=True, timeout=MEASURE_SECONDS)


def size(command: Command, output: Output) -> int:
    """Return what ``ask_size_unless_there`` learned; 0 when the target is there.

    :raises CommandFailed: qemu-img could not read the source as that format.
    """
    _require(command, output)
    return int(json.loads(output.stdout)["required"]) if output.stdout else 0


def convert(source: str, source_format: str, target: str, target_format: str) -> Command:
    """Return the conversion; it reads through backing files, so the result stands alone."""
    formats = ("-f", source_format, "-O", target_format)
    limit = ("prlimit", f"--as={CONVERT_MEMORY}", "--")
    return Command((*limit, "qemu-img", "convert", "-q", *formats, "--", source, target))


def onto_device(source: tuple[str, ...], device: str, *, is_zero: bool) -> Command:
    """Return the filling of a device with a raw disk. ``source``: of ``opened``. ``is_zero``: it reads as zeros."""
    known = ("--target-is-zero",) if is_zero else ()
    limit = ("prlimit", f"--as={CONVERT_MEMORY}", "--")
    return Command((*limit, "qemu-img", "convert", "-q", "-n", *known, "-O", "raw", *source, device))


def to_raw(source: tuple[str, ...], target: str) -> Command:
    """Return the conversion of a ``source`` of ``opened`` to a new raw disk."""
    limit = ("prlimit", f"--as={CONVERT_MEMORY}", "--")
    return Command((*limit, "qemu-img", "convert", "-q", "-O", "raw", *source, target))


def opened(path: str, format: str, device_size: int = 0) -> tuple[str, ...]:
    """Return how a source is named: a file of this format, or the first ``device_size`` bytes of a raw device."""
    if not device_size:
        return "-f", format, "--", path
    name = path.replace(",", ",,")
    return "--image-opts", "--", f"driver=raw,size={device_size},file.driver=host_device,file.filename={name}"


def compare(first: tuple[str, ...], second: tuple[str, ...]) -> Command:
    """Return the comparison of two disks of ``opened``: what a guest reads of them. What only one has are zeros.

    It ends with 1 where they differ, and reads no holes.
    """
    (*how, one), (*to, other) = first, second
    words: tuple[str, ...]
    if how[0] == to[0] == "-f":
        words = ("-f", how[1], "-F", to[1], "--", one, other)
    else:
        words = ("--image-opts", "--", *(_as_options(disk) for disk in (first, second)))
    return Command(("prlimit", f"--as={CONVERT_MEMORY}", "--", "qemu-img", "compare", "-q", *words))


def _as_options(disk: tuple[str, ...]) -> str:
    *how, name = disk
    return name if how[0] == "--image-opts" else f"driver={how[1]},file.filename={name.replace(',', ',,')}"


def create(path: str, size: int = 0, *, base: str = "", base_format: str = "") -> Command:
    """Return the making of a qcow2 file: an empty one, or an overlay on ``base``.

    An overlay whose size is not given gets that of its base, which qemu-img then opens to find out.
    """
    below = ("-F", base_format, "-b", base, *(("-u",) if size else ())) if base else ()
    return Command(("qemu-img", "create", "-q", "-f", "qcow2", *below, "--", path, *((str(size),) if size else ())))


def resize(path: str, size: int) -> Command:
    return Command(("qemu-img", "resize", "-q", "-f", "qcow2", "--", path, str(size)))


def snapshot(verb: str, name: str, path: str) -> Command:
    """Return one of ``-c`` (create), ``-a`` (apply) and ``-d`` (delete), which take no -f: the format is an option.

    Commas end an option and are doubled inside one.
    """
    image = f"driver=qcow2,file.driver=file,file.filename={path.replace(',', ',,')}"
    return Command(("qemu-img", "snapshot", "-q", "--image-opts", verb, name, "--", image), timeout=SNAPSHOT_SECONDS)


@dataclass(frozen=True, slots=True)
class OpenFacts:
    files: Files
    info: ImageInfo | None


@dataclass(frozen=True, slots=True)
class ImageOpens:
    """qemu-img can open the file as its format, and finds that it needs no other file.

    The second opinion after ``inspection.ImageIsSafe``, in a later stage, never instead of it. A check: it changes
    nothing. While the file is not there yet, its change is empty, so that a plan can be shown that makes it first.
    """

    host: str
    path: str
    format: Format

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} opens as {self.format}"

    def reads(self) -> tuple[Command, ...]:
        return look(self.path), ask_info(self.path, self.format.qemu)

    def facts(self, outputs: Sequence[Output]) -> OpenFacts:
        stat, details = self.reads()
        files = seen(stat, outputs[0])
        return OpenFacts(files, info(details, outputs[1]) if self.path in files else None)

    def plan(self, facts: OpenFacts) -> Change | None:
        if facts.info is None:
            return Change(f"open {self.path} when it is there", ())
        the_file(self.host, facts.files, self.path)
        found = facts.info
        needs = found.backing or found.data_file
        if needs:
            raise Refused(f"{self.path} on {self.host} needs another file, {needs!r}. Only whole images are taken.")
        if found.encrypted:
            raise Refused(f"{self.path} on {self.host} is encrypted; no host could start a VM from it.")
        if found.corrupt:
            raise Refused(f"{self.path} on {self.host} is marked corrupt. Repair it at its source and try again.")
        return None

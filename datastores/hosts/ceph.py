"""What Ceph says of itself, of its pools and of the images in them. Commands and their parsers (16.2, JSON).

A client without monitors or OSDs waits, so each read has two deadlines: the client's own for finding the cluster, and
that of the host, which kills it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from datastores.domain.ceph import CONNECT_SECONDS, Access, RbdImage
from datastores.domain.errors import CommandFailed
from datastores.domain.plan import Command, Output, read

T = TypeVar("T")

DEADLINE = 20.0
LISTING_DEADLINE = 60.0
KILLED = 124
"""The exit status of what its deadline has ended."""
NOT_THERE = 2
"""``rbd`` exits with the number of the error; this is ENOENT."""
SILENT = f"the cluster does not answer: no monitor in /etc/ceph/{{cluster}}.conf did within {CONNECT_SECONDS} s"
CAUSES = (
    ("no keyring found", "there is no keyring of client.{user} for the cluster {cluster}"),
    ("handle_auth_bad_method", "the cluster does not accept the key of client.{user}"),
    ("cannot identify monitors", "there is no /etc/ceph/{cluster}.conf that names monitors"),
    ("conf_read_file", "there is no /etc/ceph/{cluster}.conf that can be read"),
    ("couldn't connect to the cluster", SILENT),
    ("timed out", SILENT),
)
"""What clients say, and what it means; the first that fits."""
GONE = """for try in $(seq 60); do
    said=$("$@" 2>&1) && exit 0
    status=$?
    case $said in *"delete error: (2)"*) exit 0 ;; esac
    [ $status -eq 16 ] || break
    sleep 1
done
printf '%s\\n' "$said" >&2
exit $status"""
"""Remove what may be gone already. Ceph takes half a minute to see that a client which was killed is gone."""
GONE_SECONDS = 90.0
ANEW = """count=$1; shift
for try in $(seq 60); do
    "${@:1:count}" > /dev/null 2>&1
    [ $? -eq 16 ] || break
    sleep 1
done
exec "${@:count+1}\""""
"""Remove what an earlier attempt has left, and make it anew: the first words remove, as many as the number says."""


def ask(access: Access, *words: str) -> Command:
    return read(*access.ceph(*words), root=True, timeout=DEADLINE)


def ask_rbd(access: Access, *words: str, seconds: float = DEADLINE) -> Command:
    return read(*access.rbd(*words), root=True, timeout=seconds)


def tell(image: RbdImage, *words: str, seconds: float = 60.0) -> Command:
    return Command(image.rbd(*words), timeout=seconds)


def removed(image: RbdImage) -> Command:
    """Return the removal of what a job has made of an image, perhaps in part."""
    return Command(("sh", "-c", GONE, "sh", *image.rbd("rm", "--no-progress", image.spec)), timeout=GONE_SECONDS)


def anew(image: RbdImage, *argv: str) -> Command:
    """Return a command that makes ``image``, after what an earlier attempt has left of it is removed."""
    remove = image.rbd("rm", "--no-progress", image.spec)
    return Command(("bash", "-c", ANEW, "bash", str(len(remove)), *remove, *argv))


def complaint(command: Command, output: Output, host: str) -> CommandFailed:
    """Return the error that tells why a read was not answered, in one sentence where that is known."""
    cluster, user = (command.argv[command.argv.index(option) + 1] for option in ("--cluster", "--id"))
    said = next((meaning for words, meaning in CAUSES if words in output.stderr), "")
    if output.exit_status == KILLED:
        said = f"the cluster did not answer within {command.timeout:.0f} s; `ceph health detail` tells why"
    why = said.format(cluster=cluster, user=user) or output.stderr
    return CommandFailed(command.argv, output.exit_status, why, host)


def answered(host: str, command: Command, output: Output, parse: Callable[[Any], T]) -> T:
    """Return what ``parse`` makes of the JSON that was printed.

    :raises CommandFailed: there is none, or it is not what we expect.
    """
    if not output.ok:
        raise complaint(command, output, host)
    try:
        return parse(json.loads(output.stdout))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CommandFailed(command.argv, output.exit_status, f"unreadable output: {error!r}", host) from error


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image; ``size`` in bytes. ``parent``: ``pool/image@snapshot`` of a clone, else ""."""

    size: int
    parent: str = ""
    id: str = ""
    """By which the trash knows it."""


def ask_info(image: RbdImage) -> Command:
    return ask_rbd(image.access, "info", "--format", "json", image.spec)


def info(host: str, command: Command, output: Output) -> ImageInfo | None:
    """Return the image; None when the pool has none of this name.

    :raises CommandFailed: that could not be found out; a pool that is not there is no answer either.
    """
    name = command.argv[-1].partition("/")[2]
    if output.exit_status == NOT_THERE and f"error opening image {name}: (2)" in output.stderr:
        return None
    return answered(host, command, output, _info)


def _info(said: Mapping[str, Any]) -> ImageInfo:
    return ImageInfo(int(said["size"]), _parent(said), said["id"])


def _parent(said: Mapping[str, Any]) -> str:
    above = said.get("parent")
    return f"{above['pool']}/{above['image']}@{above['snapshot']}" if above else ""


@dataclass(frozen=True, slots=True)
class Snap:
    """A snapshot of an image. ``size``: of the disk in it, in bytes."""

    name: str
    size: int
    protected: bool


def ask_snaps(image: RbdImage) -> Command:
    return ask_rbd(image.access, "snap", "ls", "--format", "json", image.spec)


def snaps(host: str, command: Command, output: Output) -> dict[str, Snap]:
    """Return the snapshots of an image by name; none when there is no such image. Raises CommandFailed."""
    name = command.argv[-1].partition("/")[2]
    if output.exit_status == NOT_THERE and f"error opening image {name}: (2)" in output.stderr:
        return {}
    found = answered(host, command, output, lambda said: [_snap(each) for each in said])
    return {snap.name: snap for snap in found}


def _snap(said: Mapping[str, Any]) -> Snap:
    return Snap(said["name"], int(said["size"]), said.get("protected") == "true")


def ask_written(image: RbdImage, snapshot: str) -> Command:
    """Return the read of what was written to an image since a snapshot: of whole objects, from their map."""
    words = ("diff", "--from-snap", snapshot, "--whole-object", "--format", "json", image.spec)
    return ask_rbd(image.access, *words, seconds=LISTING_DEADLINE)


def written(host: str, command: Command, output: Output) -> bool:
    """Tell whether anything was written since the snapshot, where there is one. Raises CommandFailed."""
    return answered(host, command, output, lambda said: len(said) > 0)


NO_MARK = "-"
"""What takes the place of a note that holds no longer: removing one that is not there is an error."""


def ask_mark(image: RbdImage, name: str) -> Command:
    return ask_rbd(image.access, "image-meta", "get", image.spec, f"cloudstore.{name}")


def mark(host: str, command: Command, output: Output) -> str:
    """Return what cloudstore has noted at an image; "" for nothing, or when there is no image. Raises CommandFailed."""
    missing = ("failed to get metadata", "error opening image")
    if output.exit_status == NOT_THERE and any(words in output.stderr for words in missing):
        return ""
    if not output.ok:
        raise complaint(command, output, host)
    said = output.stdout.strip()
    return "" if said == NO_MARK else said


def set_mark(image: RbdImage, name: str, value: str) -> Command:
    return tell(image, "image-meta", "set", image.spec, f"cloudstore.{name}", value)


@dataclass(frozen=True, slots=True)
class Listed:
    """An image in the listing of a pool; ``size`` in bytes, and what it takes with its snapshots."""

    size: int
    allocated: int = 0


def ask_images(access: Access, pool: str) -> Command:
    """Return the read of all images, and what each takes: quick where they have fast-diff, as new ones have."""
    return ask_rbd(access, "du", "--format", "json", "--pool", pool, seconds=LISTING_DEADLINE)


@functools.lru_cache(maxsize=8)
def images(host: str, command: Command, output: Output) -> Mapping[str, Listed]:
    """Return the images of a pool by name. Kept: many statements ask it of one output. Raises CommandFailed."""
    return answered(host, command, output, _images)


def _images(said: Mapping[str, Any]) -> Mapping[str, Listed]:
    found: dict[str, Listed] = {}
    for each in said["images"]:  # the snapshots of an image come before itself
        before = found.get(each["name"], Listed(0))
        found[each["name"]] = Listed(int(each["provisioned_size"]), before.allocated + int(each["used_size"]))
    return found

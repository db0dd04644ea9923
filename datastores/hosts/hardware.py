"""What a host is made of: processor, memory, network interfaces, disks, arrays. Commands and their parsers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from datastores.domain.plan import read

CPU = read("grep", "-m", "2", "-E", r"^(model name|flags|Features)\s*:", "/proc/cpuinfo")
CPU_COUNT = read("getconf", "_NPROCESSORS_ONLN")
MEMORY = read("grep", "-E", "^(MemTotal|MemAvailable):", "/proc/meminfo")
ADDRESSES = read("ip", "-j", "address")
LINKS = read(
    "sh",
    "-c",
    "for d in /sys/class/net/*; do s=-1 p=virtual; read s <$d/speed; [ -e $d/device ] && p=physical;"
    " echo ${d##*/} $p ${s:--1}; done 2>/dev/null",
)
"""Name, physical or virtual, Mbit/s (-1: unknown) of each interface, without a process for each."""
DISKS = read("lsblk", "-J", "-b", "-o", "NAME,TYPE,SIZE,MODEL,ROTA,TRAN,FSTYPE,MOUNTPOINT")
ARRAYS = read("cat", "/proc/mdstat")

KVM_FLAGS = frozenset({"vmx", "svm", "ept", "npt", "hypervisor", "lm", "nx", "aes", "avx2", "avx512f"})

_ARRAY = re.compile(r"(md\S*) : (active|inactive)(?: \([^)]*\))*(?: ((?:raid|linear|multipath)\S*))?((?: \S+)*)\s*\Z")
_PRESENT = re.compile(r"\[(\d+)/(\d+)\]")
_PROGRESS = re.compile(r"(recovery|resync|reshape|check)\s*=")


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface other than the loopback. ``addresses``: with prefix length. ``speed``: Mbit/s, 0 unknown."""

    name: str
    mac: str
    state: str
    physical: bool
    speed: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole disk. ``size``: bytes. ``in_use``: it has partitions, a file system, or is part of something."""

    name: str
    size: int
    model: str
    transport: str
    rotational: bool
    in_use: bool


@dataclass(frozen=True, slots=True)
class Array:
    """A Linux software RAID. ``state``: active, inactive, or what it is busy with."""

    name: str
    level: str
    state: str
    degraded: bool
    spares: int


def cpu(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the model of the processor and those of its flags that virtualisation is about."""
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    flags = set((found.get("flags") or found.get("Features") or "").split())
    return found.get("model name", ""), tuple(sorted(flags & KVM_FLAGS))


def memory(text: str) -> tuple[int, int]:
    """Return bytes of memory in all, and available."""
    found = {key: int(value.split()[0]) * 1024 for key, value in (line.split(":") for line in text.splitlines())}
    return found["MemTotal"], found["MemAvailable"]


def links(text: str) -> dict[str, tuple[bool, int]]:
    """Return by interface whether there is a device behind it, and its speed in Mbit/s, 0 when unknown."""
    words = map(str.split, text.splitlines())
    return {name: (kind == "physical", max(int(speed), 0)) for name, kind, speed in words}


def nics(text: str, known: Mapping[str, tuple[bool, int]]) -> tuple[Nic, ...]:
    """Return the network interfaces that ``ip -j address`` lists; ``known``: what LINKS tells of them."""
    return tuple(
        Nic(
            name=one["ifname"],
            mac=one.get("address", ""),
            state=one["operstate"].lower(),
            physical=known.get(one["ifname"], (False, 0))[0],
            speed=known.get(one["ifname"], (False, 0))[1],
            addresses=tuple(
                f"{address['local']}/{address['prefixlen']}"
                for address in one["addr_info"]
                if address["scope"] == "global"
            ),
        )
        for one in json.loads(text)
        if one["link_type"] != "loopback"
    )


def disks(text: str) -> tuple[Disk, ...]:
    """Return the whole disks with a medium in them; loop devices, CD drives and RAM disks are none."""
    return tuple(
        Disk(
            name=one["name"],
            size=int(one["size"]),
            model=(one["model"] or "").strip(),
            transport=one["tran"] or "",
            rotational=one["rota"] in {True, "1"},
            in_use=bool(one.get("children") or one["fstype"] or one["mountpoint"]),
        )
        for one in json.loads(text)["blockdevices"]
        if one["type"] == "disk" and int(one["size"] or 0) and not one["name"].startswith(("zram", "ram"))
    )


def arrays(text: str) -> tuple[Array, ...]:
    """Return what /proc/mdstat lists; the lines below a name tell how many of its members are there."""
    found: list[Array] = []
    for block in re.split(r"\n(?=md)", text):
        first, _, rest = block.partition("\n")
        if head := _ARRAY.match(first):
            name, state, level, members = head.groups()
            present = _PRESENT.search(rest)
            busy = _PROGRESS.search(rest)
            found.append(
                Array(
                    name=name,
                    level=level or "",
                    state=busy[1] if busy else state,
                    degraded=state == "inactive" or "(F)" in members or bool(present and present[1] != present[2]),
                    spares=members.count("(S)") if state == "active" else 0,
                )
            )
    return tuple(found)

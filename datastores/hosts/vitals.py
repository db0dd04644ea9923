"""How busy and how full a host is, in one small read, without being root on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from datastores.domain.errors import CommandFailed
from datastores.domain.plan import Command, Output, read
from datastores.hosts.capacity import ask_room, rooms
from datastores.hosts.hardware import MEMORY, memory
from datastores.hosts.parsing import expect

LOAD = read("cat", "/proc/loadavg")
ROOT = replace(ask_room("/"), root=False)


@dataclass(frozen=True, slots=True)
class Vitals:
    """``load``: the mean over a minute. The others are bytes; ``root`` is the root file system."""

    load: float
    memory_total: int
    memory_used: int
    root_total: int
    root_used: int

    @staticmethod
    def reads() -> tuple[Command, ...]:
        """Return the commands whose outputs :meth:`parse` needs."""
        return LOAD, MEMORY, ROOT

    @staticmethod
    def parse(outputs: Sequence[Output], host: str = "") -> Vitals:
        """Return what the host said.

        :raises CommandFailed: one of them failed, or cannot be read.
        """
        for command, output in zip(Vitals.reads(), outputs, strict=True):
            expect(host, command, output)
        command = LOAD
        try:
            load = float(outputs[0].stdout.split()[0])
            command = MEMORY
            total, available = memory(outputs[1].stdout)
            command = ROOT
            root = rooms(ROOT, outputs[2])["/"].capacity
        except (ValueError, LookupError) as error:
            raise CommandFailed(command.argv, 0, f"unreadable output ({error!r})", host) from error
        return Vitals(load, total, total - available, root.total, root.used)

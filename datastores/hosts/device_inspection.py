"""What lies on a device, looked at before any tool does: as ``inspection.ImageIsSafe`` does it with files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.hosts.image_headers import HEAD, TAIL, WRAPPED, Header, examine
from datastores.hosts.inodes import look, seen
from datastores.hosts.inspection import CHUNK
from datastores.hosts.parsing import canonical_path


@dataclass(frozen=True, slots=True)
class DeviceIsSafe:
    """What is at ``path``, a link to a device, are plain bytes: no format that a tool would interpret if it guessed.

    A check: it changes nothing. While there is no link, its change is empty, so that a plan can be shown that makes it.
    """

    host: str
    path: str

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} holds plain bytes"

    def reads(self) -> tuple[Command, ...]:
        size = (f"bs={CHUNK}", f"count={HEAD // CHUNK}")
        return (
            look(self.path),
            read("blockdev", "--getsize64", self.path, root=True),
            read("dd", f"if={self.path}", *size, "iflag=fullblock", "status=none", root=True),
            read("tail", "-c", str(TAIL), "--", self.path, root=True),
        )

    def facts(self, outputs: Sequence[Output]) -> Header | None:
        stat, *others = self.reads()
        if self.path not in seen(stat, outputs[0]):
            return None
        for command, output in zip(others, outputs[1:], strict=True):
            if not output.ok:
                raise CommandFailed(command.argv, output.exit_status, output.stderr, self.host)
        return examine(outputs[2].raw, outputs[3].raw, int(outputs[1].stdout))

    def plan(self, facts: Header | None) -> Change | None:
        if facts is None:
            return Change(f"inspect {self.path} when it is there", ())
        if found := sorted(WRAPPED.intersection(facts.formats)):
            raise Refused(
                f"{self.path} on {self.host} is not taken as an image: it was declared raw, but it is "
                f"{' and '.join(found)}. No tool has opened it."
            )
        if facts.dangers:
            raise Refused(f"{self.path} on {self.host} is not taken as an image: {'; '.join(facts.dangers)}.")
        return None

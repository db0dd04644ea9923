"""What an appliance offers to a host, with the size of each LUN; and whether a host gets to its portal at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from datastores.domain.errors import CommandFailed
from datastores.domain.iscsi import Account, Lun, Portal
from datastores.domain.plan import Change, Command, Output
from datastores.hosts.appliances import SECONDS, asked, offers

FIND = """
found=$(timeout "$1" iscsi-ls -s "$2") || exit
printf '%s\\n' "$found" | while read -r first second; do
    case $first in
    Target:*) target=${first#Target:} portal=${second#Portal:} ;;
    Lun:*)
        lun=iscsi://${portal%,*}/$target/${first#Lun:}
        size=$(timeout "$1" iscsi-readcapacity16 -s "$lun" </dev/null 2>/dev/null) ;;
    esac
    printf '%s\\t%s\\n' "$size" "$first $second"
    size=
done
"""
"""List targets and LUNs as iscsi-ls does, each with its size before it, in bytes, where it has one."""
TRY = """
timeout "$1" bash -c 'exec 3<>"/dev/tcp/$1/$2"' try "$2" "$3" 2>/dev/null || { echo silent; exit 0; }
command -v iscsi-ls >/dev/null || { echo answers; exit 0; }
found=$(timeout "$1" iscsi-ls -s "$4" 2>/dev/null) || { echo answers; exit 0; }
echo "answers $(printf '%s\\n' "$found" | grep -c Type:DIRECT_ACCESS)"
"""
"""Connect to a portal; where libiscsi's tools are, also ask for what it offers to who knows no secret."""
_SAID = re.compile(r"(silent|answers)(?: (\d+))?\s*\Z")


@dataclass(frozen=True, slots=True)
class SizedLun:
    """A LUN that an appliance offers, with its size in bytes; 0: it does not tell."""

    lun: Lun
    size: int


@dataclass(frozen=True, slots=True)
class LunsKnown:
    """What a portal offers the host is known. It changes nothing; the facts are the disks among the LUNs."""

    host: str
    portal: Portal
    target: str = ""
    """The only target that is asked for; "" for all."""
    account: Account | None = None

    @property
    def title(self) -> str:
        return f"what {self.portal} offers to {self.host} is known"

    def reads(self) -> tuple[Command, ...]:
        return (asked(self.account, "sh", "-c", FIND, "sh", str(SECONDS), f"iscsi://{self.portal}", bounded=False),)

    def facts(self, outputs: Sequence[Output]) -> tuple[SizedLun, ...]:
        (command,), (output,) = self.reads(), outputs
        rows = [line.partition("\t")[::2] for line in output.stdout.splitlines()]
        listed = Output(output.exit_status, "".join(f"{row[1]}\n" for row in rows).encode(), output.stderr)
        sizes = [size for size, line in rows if line.startswith("Lun:")]
        found = offers(self.host, command, listed)
        if len(sizes) != len(found) or not all(size.isdigit() or not size for size in sizes):
            raise CommandFailed(
                command.argv, output.exit_status, f"unreadable output {output.stdout[:200]!r}", self.host
            )
        sized = [SizedLun(each.lun, int(size or 0)) for each, size in zip(found, sizes, strict=True) if each.is_disk]
        wanted = [each for each in sized if self.target in {"", each.lun.iqn}]
        return tuple(sorted(wanted, key=lambda each: (each.lun.iqn, each.lun.number)))

    def plan(self, facts: tuple[SizedLun, ...]) -> Change | None:
        return None


class Answer(StrEnum):
    """How far a host gets with a portal."""

    SILENT = "no answer"
    ANSWERS = "it answers"
    OFFERS = "it offers LUNs"


@dataclass(frozen=True, slots=True)
class Met:
    """What a host met with. ``luns``: that are offered to who knows no secret."""

    answer: Answer
    luns: int = 0


@dataclass(frozen=True, slots=True)
class PortalTried:
    """How far the host gets with a portal is known. It changes nothing."""

    host: str
    portal: Portal

    @property
    def title(self) -> str:
        return f"how far {self.host} gets with {self.portal} is known"

    def reads(self) -> tuple[Command, ...]:
        where = self.portal.address, str(self.portal.port), f"iscsi://{self.portal}"
        return (asked(None, "sh", "-c", TRY, "sh", str(SECONDS), *where, bounded=False),)

    def facts(self, outputs: Sequence[Output]) -> Met:
        (command,), (output,) = self.reads(), outputs
        said = _SAID.match(output.stdout)
        if not output.ok or not said:
            raise CommandFailed(command.argv, output.exit_status, output.stderr or output.stdout[:200], self.host)
        luns = int(said[2] or 0)
        answers = Answer.OFFERS if luns else Answer.ANSWERS
        return Met(Answer.SILENT if said[1] == "silent" else answers, luns)

    def plan(self, facts: Met) -> Change | None:
        return None

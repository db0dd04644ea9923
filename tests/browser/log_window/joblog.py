"""A job's log as the server would hold it: numbered events, each of one or more lines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

HOSTS = ("one-san-01", "kvm-07", "kvm-08", "kvm-09")
LEVELS = ("info", "command", "good", "warning", "error")
START = 1_795_269_731_004  # epoch milliseconds of the first line
Filter = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``first`` is the number of its first line in the whole log, from 1."""

    seq: int
    first: int
    lines: int
    text: str
    host: str
    step: int | None
    level: str
    kind: str = "output"

    def passes(self, wanted: Filter) -> bool:
        mine = {"host": self.host, "step": "" if self.step is None else str(self.step), "level": self.level}
        return all(mine[name] == value for name, value in wanted)

    def frame(self, at_line: int | None = None) -> dict[str, Any]:
        """The event as it is sent; ``at_line`` is the position of its first line in a filtered log."""
        sent = {name: getattr(self, name) for name in self.__slots__} | {"at": START + self.first * 7}
        return sent if at_line is None else sent | {"at_line": at_line}


@dataclass
class JobLog:
    """Grows by ``add``; answers what the lines and the search addresses and the socket ask."""

    events: list[Event] = field(default_factory=list)
    total: int = 0
    _filtered: dict[Filter, tuple[int, list[Event], list[int]]] = field(default_factory=dict)

    def add(self, lines: Sequence[str], *, level: str = "info", host: str = "", kind: str = "output") -> Event:
        seq = len(self.events) + 1
        text = "\n".join(lines)
        event = Event(seq, self.total + 1, len(lines), text, host or HOSTS[seq % 4], seq % 8, level, kind)
        self.events.append(event)
        self.total += len(lines)
        return event

    def grow(self, lines: int, of: int = 50) -> None:
        """Add that many plain lines, in events of ``of`` lines, every 20th of them a warning."""
        while lines > 0:
            count = min(of, lines)
            texts = [f"line {number} of the copy, block {number * 4096:#x}" for number in self._next(count)]
            self.add(texts, level="warning" if len(self.events) % 20 == 19 else "info")
            lines -= count

    def _next(self, count: int) -> range:
        return range(self.total + 1, self.total + count + 1)

    def texts(self) -> list[str]:
        return [text for event in self.events for text in event.text.split("\n")]

    def after(self, seq: int, most: int = 200) -> list[Event]:
        return self.events[seq : seq + most]

    def view(self, wanted: Filter) -> tuple[list[Event], list[int], int]:
        """The events that pass, the position of each one's first line, and how many lines pass."""
        done, events, starts = self._filtered.get(wanted, (0, [], []))
        total = starts[-1] + events[-1].lines - 1 if events else 0
        for event in self.events[done:]:
            if event.passes(wanted):
                events.append(event)
                starts.append(total + 1)
                total += event.lines
        self._filtered[wanted] = (len(self.events), events, starts)
        return events, starts, total

    def lines(self, first: int, count: int, wanted: Filter) -> dict[str, Any]:
        events, starts, total = self.view(wanted)
        frames = list(self._overlap(events, starts, first, first + count - 1, bool(wanted)))
        return {"total": total, "events": frames}

    @staticmethod
    def _overlap(
        events: list[Event], starts: list[int], first: int, last: int, filtered: bool
    ) -> Iterator[dict[str, Any]]:
        for index in range(max(0, bisect_right(starts, first) - 1), len(events)):
            if starts[index] > last:
                return
            if starts[index] + events[index].lines > first:
                yield events[index].frame(starts[index] if filtered else None)

    def search(self, text: str, wanted: Filter, most: int = 1000) -> dict[str, Any]:
        matches = [
            event.first + offset
            for event in self.view(wanted)[0]
            for offset, line in enumerate(event.text.split("\n"))
            if text.lower() in line.lower()
        ]
        return {"matches": matches[:most], "truncated": len(matches) > most}

"""The time of day in which bytes may be moved in bulk, such as 22:00-06:00."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from datastores.domain.errors import BadInput

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d) ?- ?([01]\d|2[0-3]):([0-5]\d)\Z")


@dataclass(frozen=True, slots=True)
class Window:
    """From ``opens`` to ``closes``, on the clock of the site; past midnight when it closes earlier than it opens."""

    opens: time
    closes: time

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    def is_open(self, at: time) -> bool:
        if self.opens < self.closes:
            return self.opens <= at < self.closes
        return at >= self.opens or at < self.closes

    def next_opening(self, now: datetime) -> datetime | None:
        """Return when it opens next, in the zone of ``now``; None: it is open."""
        if self.is_open(now.time()):
            return None
        today = datetime.combine(now.date(), self.opens, now.tzinfo)
        return today if today > now else datetime.combine(now.date() + timedelta(days=1), self.opens, now.tzinfo)


def window(text: str) -> Window:
    """Return the window that ``text`` names.

    :raises BadInput: it names none, or one of no length.
    """
    found = _WINDOW.match(text.strip())
    if not found:
        raise BadInput("Enter two times of day, such as 22:00-06:00.")
    first, second, third, fourth = (int(part) for part in found.groups())
    opens, closes = time(first, second), time(third, fourth)
    if opens == closes:
        raise BadInput("The window opens and closes at the same time.")
    return Window(opens, closes)

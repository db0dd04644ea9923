"""Tell people what needs them: a row for each target that wants to hear of it, in the transaction of what happened.

Nothing is sent here. The schedule puts together what was told within a short time, and delivers it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.models import Notice, NotificationTarget

EVENTS = {
    "job.failed": "a job failed",
    "job.given_up": "a job was interrupted and given up",
    "job.waits": "a plan waits for approval",
    "host.unreachable": "a host does not answer",
    "host.quarantined": "a host was put into quarantine",
    "alert.began": "an alert began",
    "alert.ended": "an alert ended",
}
MOST_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Said:
    """What is told. ``subject``: one short sentence. ``url``: the path of a page. ``key``: the same for what belongs
    together, such as the begin and the end of an alert.
    """

    subject: str
    text: str = ""
    url: str = ""
    key: str = ""

    def to(self, target: NotificationTarget, event: str) -> Notice:
        return Notice(target=target, event=event, subject=plain(self.subject)[:200], text=self.text[:MOST_TEXT],
                      url=self.url[:300], key=plain(self.key)[:100])  # fmt: skip


def tell(event: str, subject: str, text: str = "", url: str = "", key: str = "") -> int:
    """Have every target told that wants to hear of this event; return how many do. One or two queries.

    Belongs into the transaction of what is told.

    :raises ValueError: there is no such event.
    """
    return tell_all(event, [Said(subject, text, url, key)])


def tell_all(event: str, everything: Sequence[Said]) -> int:
    """Do what ``tell`` does for all that happened at once, with as many queries."""
    if event not in EVENTS:
        raise ValueError(f"there is no event {event}")
    if not everything:
        return 0
    targets = NotificationTarget.objects.filter(enabled=True).only("pk", "events")
    wanting = [target for target in targets if event in target.events]
    notices = (said.to(target, event) for target in wanting for said in everything)
    if wanting:
        Notice.objects.bulk_create(notices, batch_size=500)
    return len(wanting)


def plain(text: str) -> str:
    """Return the text as one line: it becomes the subject of a mail, where a line break would begin another header."""
    seen = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in text)
    return " ".join(seen.split())

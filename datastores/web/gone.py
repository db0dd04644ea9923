"""What is told to whoever presses a button of something that is not there any more."""

from __future__ import annotations

from datastores.models import AuditEntry, User
from datastores.services.since import about, by_whom, on_day
from datastores.web.sentences import sentence

DEEDS = ("asked", "approved", "done")
"""Results of entries about what a person did; the others tell how a job ended."""


def what_became_of(row: str, user: User) -> str:
    """Return what was done last to a row ("image:3") and by whom; "" when nothing is known that the person may know.

    Who cannot see everything is told of what they have worked on themselves: only then it was theirs to see.
    """
    entries = about(row)
    if not entries.visible_to(user).exists():
        return ""
    last: AuditEntry | None = entries.filter(result__in=DEEDS).first()
    if last is None:
        return ""
    if user.sees_everything or last.actor_id == user.pk:
        return f"The last that was done to it: {last.actor_name} {sentence(last)}, on {on_day(last.at)}."
    return f"The last that was done to it was done{by_whom(last)}."

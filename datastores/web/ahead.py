"""What happens between a request and its first change, as the admins have set it for that kind of job."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.domain.approvals import Approval
from datastores.jobs.approval import policy_now
from datastores.jobs.kinds import KINDS

WORDS = {
    Approval.AT_ONCE: "The job begins at once.",
    Approval.AFTER: "You see the plan first: every command on every host. Nothing changes before it is approved.",
    Approval.FOUR_EYES: "You see the plan first: every command on every host. "
                        "Nothing changes before somebody else has approved it.",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a person is told before pressing the button; as text it is a sentence or two."""

    policy: Approval

    @property
    def waits(self) -> bool:
        return self.policy is not Approval.AT_ONCE

    def __str__(self) -> str:
        return WORDS[self.policy]


def ahead_of(kind: str) -> Ahead:
    return Ahead(policy_now(KINDS[kind]))

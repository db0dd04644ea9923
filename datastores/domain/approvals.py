"""How a job comes from being asked for to being carried out."""

from __future__ import annotations

from enum import StrEnum


class Approval(StrEnum):
    """What has to happen before anything changes; the further down, the stricter."""

    AT_ONCE = "at once"
    AFTER = "after approval"
    FOUR_EYES = "four eyes"


ORDER = tuple(Approval)
MEANING = {
    Approval.AT_ONCE: "It begins as soon as it was asked for.",
    Approval.AFTER: "Its plan is shown first; whoever asked for it, or anybody else who may, approves it.",
    Approval.FOUR_EYES: "Its plan is shown first; somebody else than who asked for it approves it.",
}


def stricter(one: Approval, other: Approval) -> Approval:
    return max(one, other, key=ORDER.index)

"""What is done with the bytes of a logical volume before its room is given to others."""

from __future__ import annotations

from enum import StrEnum

from datastores.domain.plan import Action, Command, Detached
from datastores.hosts import lvm

DAY = 86400.0
PIECE = 1 << 30
"""Bytes that are zeroed by one call: a call for a whole volume would tell nothing until its end."""
# A volume that is open cannot be switched off, so what a machine still runs on is not emptied (lvchange(8)).
DISCARD = """
lvchange -q -an -- "$1" && lvchange -q -ay -K -- "$1" && blkdiscard -- "$2"
"""
ZERO = """
lvchange -q -an -- "$1" && lvchange -q -ay -K -- "$1" || exit
bytes=$(blockdev --getsize64 "$2") && at=0 || exit
while [ "$at" -lt "$bytes" ]; do
    length=$((bytes - at))
    [ "$length" -le "$3" ] || length=$3
    blkdiscard -z -o "$at" -l "$length" -- "$2" || exit
    at=$((at + length))
    echo "$at of $bytes bytes are zeros"
done
"""


class Wipe(StrEnum):
    """What is done with the bytes of a volume before its room is given to others."""

    NONE = "none"
    DISCARD = "discard"
    ZERO = "zero"


def wiped(group: str, name: str, wipe: Wipe, *, thin: bool) -> tuple[Action, ...]:
    """Return what empties a volume. A thin pool empties what it gives to another one, so ``zero`` discards there."""
    if wipe == Wipe.NONE:
        return ()
    which = f"{group}/{name}", lvm.device(group, name)
    if wipe == Wipe.ZERO and not thin:
        zero = Command(("sh", "-c", ZERO, "sh", *which, str(PIECE)), timeout=DAY)
        return (Action(Detached(zero, tells=True), final=True),)
    return (Action(Command(("sh", "-c", DISCARD, "sh", *which), timeout=DAY), final=True),)

"""Single lines of files that others write, too: an undo takes back its own line, whatever else was changed since."""

from __future__ import annotations

from datastores.domain.plan import Command

SWAP = """
new=$1.cloudstore-new
cp -pT -- "$1" "$new" &&
OLD=$2 NEW=$3 awk '
$0 == ENVIRON["OLD"] && ENVIRON["OLD"] != "" { if (ENVIRON["NEW"] != "") print ENVIRON["NEW"]; next }
{ print }
END { if (ENVIRON["OLD"] == "") print ENVIRON["NEW"] }
' "$1" >"$new" && sync -- "$new" && mv -fT -- "$new" "$1" && rm -f -- "$1.cloudstore~"
"""
"""$1: the file; $2: the line to go, "" for none; $3: what comes in its place, or at the end, "" for nothing."""


def swapped(path: str, old: str, new: str) -> Command:
    """Return what puts ``new`` in the place of each line that reads ``old``; with "" it is added, or taken out.

    Others' lines stay, and so do owner and mode. The copy that the change left beside the file goes.
    """
    return Command(("sh", "-c", SWAP, "sh", path, old, new))

"""Single lines of files that others write, too: a job changes its own, whatever else is changed meanwhile."""

from __future__ import annotations

from datastores.domain.plan import Action, Command, EditLines

SWAP = """
exec 9>/run/cloudstore-lines.lock || exit
flock -w 30 9 || { echo "another job holds /run/cloudstore-lines.lock" >&2; exit 1; }
new=$(mktemp -- "$1.cloudstore-XXXXXXXX") || exit
trap 'rm -f -- "$new"' EXIT
trap 'exit 143' HUP INT TERM
if [ -e "$1" ]; then from=$1; cp -pT -- "$1" "$new"; else from=/dev/null; chmod 0644 -- "$new"; fi || exit
OLD=$2 NEW=$3 awk '
{ line[NR] = $0 }
END {
    size = ENVIRON["OLD"] == "" ? 0 : split(ENVIRON["OLD"], old, "\\n")
    for (at = 1; at <= NR; ) {
        same = size > 0
        for (each = 1; same && each <= size; each++)
            same = at + each - 1 <= NR && (line[at + each - 1] "") == (old[each] "")
        if (!same) { print line[at++]; continue }
        if (ENVIRON["NEW"] != "") print ENVIRON["NEW"]
        at += size
    }
    if (!size) print ENVIRON["NEW"]
}
' "$from" >"$new" && sync -- "$new" || exit
if [ -s "$new" ] || [ -z "$4" ]; then mv -fT -- "$new" "$1"; else rm -f -- "$1"; fi
"""
"""$1: the file; $2: the lines to go, "" for none; $3: what comes in their place, or at the end, "" for nothing; $4: not
"" when a file in which nothing is left is to go. All jobs on one host take turns, and each reads what is there by then.
"""


def swapped(path: str, old: str, new: str, *, swept: bool = False) -> Command:
    """Return what puts ``new`` in the place of ``old`` wherever it stands; with "" it is added, or taken out.

    Both are one line or several. The lines of others stay, and so do owner and mode; a file that is not there is made.
    ``swept``: a file in which nothing is left goes.
    """
    return Command(("sh", "-c", SWAP, "sh", path, old, new, "swept" if swept else ""))


def edited(path: str, old: str, new: str, *, made: bool = False) -> Action:
    """Return what changes these lines, and takes that back. ``made``: the file is not there yet."""
    return Action(EditLines(path, old, new, swapped(path, old, new)), swapped(path, new, old, swept=made))

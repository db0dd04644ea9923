"""Small files with a secret: written by a command's input, seen by root (or one group) alone, compared by digests."""

from __future__ import annotations

import hashlib

from datastores.domain.plan import Action, Change, Command, encode
from datastores.hosts.inodes import gone
from datastores.hosts.parsing import Entry

BESIDE = """
umask 077
find "${1%/*}" -maxdepth 1 -type f -name "${1##*/}.cloudstore-????????" -mmin +10 -delete || exit
new=$(mktemp -- "$1.cloudstore-XXXXXXXX") || exit
trap 'rm -f -- "$new"' EXIT
trap 'exit 143' HUP INT TERM
"""
"""Make $new, beside the file $1, for its owner alone: two jobs that write at once have two names. It goes with its
script, or, where the power went meanwhile, with the next one that writes the file."""
WRITE = (
    BESIDE
    + """
dd of="$new" conv=notrunc,fsync status=none && chown -- "$2" "$new" && chmod -- "$3" "$new" &&
    mv -fT -- "$new" "$1"
"""
)
"""$1: the file, $2: its owner and group, $3: its mode."""


def secret_digest(secret: str) -> str:
    """Return what secrets are compared by; "" for none."""
    return hashlib.sha256(secret.encode()).hexdigest() if secret else ""


def unfinished(path: str) -> str:
    """Return what ``find`` knows the names by under which the file is written."""
    return f"{path.rpartition('/')[2]}.cloudstore-????????"


def secret_written(path: str, text: str, there: Entry | None, *, group: str = "root", mode: str = "0600") -> Change:
    """Return the change after which ``path`` holds ``text``. What it held before stays beside it, for the way back."""
    kept = f"{path}.cloudstore~"
    write = Command(("sh", "-c", WRITE, "sh", path, f"root:{group}", mode), stdin=encode(text), secret=True)
    if there is None:
        return Change(f"write {path}", (Action(write, gone(path)),))
    keep = Action(Command(("cp", "-pT", "--", path, kept)), gone(kept), scratch=True)
    back = Command(("mv", "-fT", "--", kept, path))
    note = f"It holds another key now, which stays in {kept}."
    return Change(f"replace the key in {path}", (keep, Action(write, back)), note)

"""Small files with a secret: written by a command's input, seen by root (or one group) alone, compared by digests."""

from __future__ import annotations

import hashlib

from datastores.domain.plan import Action, Change, Command, encode
from datastores.hosts.inodes import gone
from datastores.hosts.parsing import Entry


def secret_digest(secret: str) -> str:
    """Return what secrets are compared by; "" for none."""
    return hashlib.sha256(secret.encode()).hexdigest() if secret else ""


def secret_written(path: str, text: str, there: Entry | None, *, group: str = "root", mode: str = "0600") -> Change:
    """Return the change after which ``path`` holds ``text``. What it held before stays beside it, for the way back."""
    new, kept = f"{path}.cloudstore-new", f"{path}.cloudstore~"
    make = Command(("install", "-m", mode, "-o", "root", "-g", group, "--", "/dev/null", new))
    fill = Command(("dd", f"of={new}", "conv=notrunc,fsync", "status=none"), stdin=encode(text), secret=True)
    actions = [Action(command, gone(new), scratch=True) for command in (make, fill)]
    rename = Command(("mv", "-fT", "--", new, path))
    if there is None:
        return Change(f"write {path}", (*actions, Action(rename, gone(path))))
    keep = Action(Command(("cp", "-pT", "--", path, kept)), gone(kept), scratch=True)
    back = Command(("mv", "-fT", "--", kept, path))
    note = f"It holds another key now, which stays in {kept}."
    return Change(f"replace the key in {path}", (*actions, keep, Action(rename, back)), note)

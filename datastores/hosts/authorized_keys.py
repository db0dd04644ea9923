"""Who may log in to an account with a key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, Output, WriteFile, read
from datastores.domain.values import account_name
from datastores.hosts.accounts import User, getent, users
from datastores.hosts.files import access_actions, make_directory
from datastores.hosts.parsing import TEXT_MAX, Entry, TextFile, editable, entries, entries_read, expect

_KEY = re.compile(r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/]{40,4000}={0,3})(?: [\x21-\x7e ]*)?\Z")


def public_key(value: str) -> tuple[str, str]:
    """Return (type, base64 text) of a line as in ``id_ed25519.pub``; its comment is free, options have no place."""
    found = _KEY.match(value)
    if not found:
        raise BadInput(f"{value[:40]!r} is not a public key as in id_ed25519.pub.")
    return found[1], found[2]


def _keys(number: int) -> str:
    return "1 key" if number == 1 else f"{number} keys"


_IN_HOME = 'home=$(getent passwd "$1" | cut -d: -f6); shift; '
_LOOK = _IN_HOME + 'exec find "$home" "$home/.ssh" "$home/.ssh/authorized_keys" "$@"'
_HEAD = _IN_HOME + 'exec head -c "$1" -- "$home/.ssh/authorized_keys"'
"""Scripts, because only the host knows where the account's home is."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The account with the name of its group, None when it is not there; its home, ``~/.ssh``, and the file in it."""

    user: User | None = None
    group: str = ""
    home: Entry | None = None
    directory: Entry | None = None
    file: TextFile = field(default_factory=lambda: TextFile(None, None))


@dataclass(frozen=True, slots=True)
class AuthorizedKeysPresent:
    """Each of ``public_keys`` may log in as ``account``; keys that are there already stay.

    Home and group are the account's own. All keys of one account belong into one step: each step replaces the whole
    file and keeps one backup of it.
    """

    host: str
    account: str
    public_keys: tuple[str, ...]

    def __post_init__(self) -> None:
        account_name(self.account)
        if not self.public_keys:
            raise BadInput(f"No key was given for {self.account}.")
        for key in self.public_keys:
            public_key(key)

    @property
    def title(self) -> str:
        return f"{_keys(len(self.public_keys))} may log in as {self.account}"

    def reads(self) -> tuple[Command, ...]:
        look = ("sh", "-c", _LOOK, "sh", self.account, *entries_read().argv[1:])
        return (
            read("getent", "passwd", self.account),
            read("id", "-gn", "--", self.account),
            read(*look, root=True),
            read("sh", "-c", _HEAD, "sh", self.account, str(TEXT_MAX + 1), root=True),
        )

    def facts(self, outputs: Sequence[Output]) -> KeyFacts:
        passwd, group, _, head = self.reads()
        user = next(iter(users(getent(self.host, passwd, outputs[0]))), None)
        if user is None or not user.home.startswith("/"):
            return KeyFacts(user)
        directory, path = f"{user.home}/.ssh", f"{user.home}/.ssh/authorized_keys"
        found = entries(self.host, entries_read(user.home, directory, path), outputs[2])
        file = found.get(path)
        text = expect(self.host, head, outputs[3]) if file and file.is_file else None
        name = expect(self.host, group, outputs[1]).strip()
        return KeyFacts(user, name, found.get(user.home), found.get(directory), TextFile(file, text))

    def plan(self, facts: KeyFacts) -> Change | None:
        if facts.user is None:
            raise Refused(f"There is no account {self.account} on {self.host}. Make it first.")
        if facts.home is None:
            home = facts.user.home or "not named"
            raise Refused(f"The home of {self.account} on {self.host} is {home}, and is not there. Make it first.")
        directory = f"{facts.home.path}/.ssh"
        if facts.directory and not facts.directory.is_directory:
            # a link made by the account would lead root's pen anywhere
            raise Refused(f"{directory} on {self.host} is {facts.directory}, not a directory.")
        path = f"{directory}/authorized_keys"
        before = editable(self.host, path, facts.file)
        lines = [line.split() for line in (before or "").splitlines()]
        known = {word for words in lines if words and not words[0].startswith("#") for word in words}
        missing = [key for key in dict.fromkeys(self.public_keys) if public_key(key)[1] not in known]
        actions = [*self._directory(facts, directory), *self._file(facts, path, before, missing)]
        if not actions:
            return None
        what = f"{_keys(len(missing))} more for" if missing else "owner and mode of the keys of"
        return Change(f"{what} {self.account}", tuple(actions))

    def _directory(self, facts: KeyFacts, path: str) -> tuple[Action, ...]:
        if facts.directory:
            return access_actions(facts.directory, self.account, facts.group, "0700")
        return (make_directory(path, self.account, facts.group, "0700"),)

    def _file(self, facts: KeyFacts, path: str, before: str | None, missing: list[str]) -> tuple[Action, ...]:
        if facts.file.entry and not missing:
            return access_actions(facts.file.entry, self.account, facts.group, "0600")
        text = before or ""
        text += "" if text.endswith("\n") or not text else "\n"
        text += "".join(f"{key}\n" for key in missing)
        write = WriteFile(path, text, before, self.account, facts.group, "0600")
        return (Action(write, write.undo),)

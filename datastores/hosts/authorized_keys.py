"""Who may log in to an account with a key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, Output, WriteFile, read
from datastores.domain.values import account_name
from datastores.hosts.accounts import User, getent, users
from datastores.hosts.files import access_actions, make_directory
from datastores.hosts.parsing import (
    Entry,
    TextFile,
    canonical_path,
    editable,
    entries,
    entries_read,
    text_file,
    text_reads,
)

_KEY = re.compile(r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/]{40,4000}={0,3})(?: [\x21-\x7e ]*)?\Z")


def public_key(value: str) -> tuple[str, str]:
    """Return (type, base64 text) of a line as in ``id_ed25519.pub``; its comment is free, options have no place."""
    found = _KEY.match(value)
    if not found:
        raise BadInput(f"{value[:40]!r} is not a public key as in id_ed25519.pub.")
    return found[1], found[2]


def _keys(number: int) -> str:
    return "1 key" if number == 1 else f"{number} keys"


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The account, None when it is not there; ``~/.ssh``, and the file in it."""

    user: User | None
    directory: Entry | None
    file: TextFile


@dataclass(frozen=True, slots=True)
class AuthorizedKeysPresent:
    """Each of ``public_keys`` may log in as ``account``; keys that are there already stay.

    ``group`` and ``home`` are the account's. All keys of one account belong into one step: each step replaces the
    whole file and keeps one backup of it.
    """

    host: str
    account: str
    group: str
    home: str
    public_keys: tuple[str, ...]

    def __post_init__(self) -> None:
        account_name(self.account)
        account_name(self.group)
        canonical_path(self.home, "The home directory")
        if not self.public_keys:
            raise BadInput(f"No key was given for {self.account}.")
        for key in self.public_keys:
            public_key(key)

    @property
    def title(self) -> str:
        return f"{_keys(len(self.public_keys))} may log in as {self.account}"

    @property
    def directory(self) -> str:
        return f"{self.home}/.ssh"

    @property
    def path(self) -> str:
        return f"{self.directory}/authorized_keys"

    def reads(self) -> tuple[Command, ...]:
        return (read("getent", "passwd", self.account), entries_read(self.directory), *text_reads(self.path))

    def facts(self, outputs: Sequence[Output]) -> KeyFacts:
        passwd, directory, *_ = self.reads()
        return KeyFacts(
            next(iter(users(getent(self.host, passwd, outputs[0]))), None),
            entries(self.host, directory, outputs[1]).get(self.directory),
            text_file(self.host, self.path, outputs[2:]),
        )

    def plan(self, facts: KeyFacts) -> Change | None:
        """An account that is not there yet gets the same plan: an earlier step may add it."""
        if facts.user and facts.user.home != self.home:
            raise Refused(f"The home of {self.account} on {self.host} is {facts.user.home}, not {self.home}.")
        if facts.directory and not facts.directory.is_directory:
            # a link made by the account would lead root's pen anywhere
            raise Refused(f"{self.directory} on {self.host} is {facts.directory}, not a directory.")
        before = editable(self.host, self.path, facts.file)
        lines = [line.split() for line in (before or "").splitlines()]
        known = {word for words in lines if words and not words[0].startswith("#") for word in words}
        missing = [key for key in dict.fromkeys(self.public_keys) if public_key(key)[1] not in known]
        actions = [*self._directory(facts.directory), *self._file(facts.file, before, missing)]
        if not actions:
            return None
        what = f"{_keys(len(missing))} more for" if missing else "owner and mode of the keys of"
        return Change(f"{what} {self.account}", tuple(actions))

    def _directory(self, there: Entry | None) -> tuple[Action, ...]:
        if there:
            return access_actions(there, self.account, self.group, "0700")
        return (make_directory(self.directory, self.account, self.group, "0700"),)

    def _file(self, file: TextFile, before: str | None, missing: list[str]) -> tuple[Action, ...]:
        if file.entry and not missing:
            return access_actions(file.entry, self.account, self.group, "0600")
        text = before or ""
        text += "" if text.endswith("\n") or not text else "\n"
        text += "".join(f"{key}\n" for key in missing)
        write = WriteFile(self.path, text, before, self.account, self.group, "0600")
        return (Action(write, write.undo),)

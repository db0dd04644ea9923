"""Who may log in to an account with a key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, EditLines, Output, read
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

OPEN_KEYS = """
umask 077
home=$(getent passwd "$(id -un)" | cut -d: -f6) && [ -n "$home" ] && cd -- "$home" || exit
exec 9<.; flock -w 30 9 || exit
[ ! -L .ssh ] && [ ! -L .ssh/authorized_keys ] || { echo "$home/.ssh leads elsewhere" >&2; exit 1; }
keys=.ssh/authorized_keys
replace() { sync "$new" && mv -fT "$new" $keys; }
begin() { new=$(mktemp .ssh/.authorized_keys.XXXXXXXX) && trap 'rm -f -- "$new"' EXIT; }
add() {
    begin || exit
    [ ! -e $keys ] || cp -pT $keys "$new" || exit
    [ -z "$(tail -c 1 "$new")" ] || echo >>"$new"
    printf '%s\\n' "$1" >>"$new" && replace
}
keep() {
    [ -e $keys ] || exit 0
    begin && cp -pT $keys "$new" && awk "$1" $keys >"$new" || exit
    if [ -s "$new" ]; then replace; else rm -f $keys; fi
}
"""
"""Two jobs may change the keys of an account at once, so they take turns. It runs as that account: whatever is done to
the directory meanwhile leads nowhere where the account could not write itself."""
ADD = f"""{OPEN_KEYS}
add "$1"
"""
"""$1: the line."""
TAKE_OUT = f"""{OPEN_KEYS}
export LINE="$1"
keep '$0 "" != ENVIRON["LINE"]'
"""
"""$1: the line. A file in which nothing is left is as good as none."""


def as_account(account: str, *argv: str) -> Command:
    return Command(("runuser", "-u", account, "--", *argv))


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

    Home and group are the account's own.
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
        actions = [*self._directory(facts, directory), *self._access(facts), *self._lines(path, missing)]
        if not actions:
            return None
        what = f"{_keys(len(missing))} more for" if missing else "owner and mode of the keys of"
        return Change(f"{what} {self.account}", tuple(actions))

    def _directory(self, facts: KeyFacts, path: str) -> tuple[Action, ...]:
        if facts.directory:
            return access_actions(facts.directory, self.account, facts.group, "0700")
        return (make_directory(path, self.account, facts.group, "0700"),)

    def _access(self, facts: KeyFacts) -> tuple[Action, ...]:
        """The file is made as that of the account; before another one gets a line, the account may write to it."""
        return access_actions(facts.file.entry, self.account, facts.group, "0600") if facts.file.entry else ()

    def _lines(self, path: str, keys: list[str]) -> tuple[Action, ...]:
        add, take_out = (
            [as_account(self.account, "sh", "-c", script, "sh", key) for key in keys] for script in (ADD, TAKE_OUT)
        )
        return tuple(
            Action(EditLines(path, "", key, do), undo) for key, do, undo in zip(keys, add, take_out, strict=True)
        )

"""Unix accounts: the same names with the same numbers on every host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.values import account_name
from datastores.hosts.parsing import canonical_path, expect

NOT_FOUND = 2
"""Exit status of getent(1) when it found only some of the keys, or none."""
ID_MAX = 2**31 - 1
SHELL = re.compile(r"/[A-Za-z0-9/_.+-]+\Z")
NOBODY = 65534
NOBODYS_GROUP = "nogroup"
NO_HOME = "/nonexistent"
"""What Debian Policy 9.2.2 and 9.2.3 give to accounts without group or home."""
NO_LOGIN = "/usr/sbin/nologin"


@dataclass(frozen=True, slots=True)
class User:
    """One line of ``getent passwd``."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class Group:
    """One line of ``getent group``."""

    name: str
    gid: int
    members: tuple[str, ...] = ()


def users(text: str) -> list[User]:
    """Return the accounts that ``getent passwd`` printed."""
    return [
        User(name, int(uid), int(gid), home, shell)
        for name, _, uid, gid, _, home, shell in (line.split(":") for line in text.splitlines())
    ]


def groups(text: str) -> list[Group]:
    """Return the groups that ``getent group`` printed."""
    return [
        Group(name, int(gid), tuple(filter(None, members.split(","))))
        for name, _, gid, members in (line.split(":") for line in text.splitlines())
    ]


def getent(host: str, command: Command, output: Output) -> str:
    """Return the lines that getent found for its keys, perhaps none.

    :raises CommandFailed: the account database could not be read.
    """
    return output.stdout if output.exit_status == NOT_FOUND else expect(host, command, output)


def account_id(value: int) -> int:
    """Return the number of an account or group that a datastore may have; root's is no such number."""
    if not 0 < value <= ID_MAX or value in {NOBODY, NOBODY + 1}:
        raise BadInput(f"{value} is not a number for an account or group.")
    return value


@dataclass(frozen=True, slots=True)
class GroupHasId:
    """The group ``name`` is there and has the number ``gid``."""

    host: str
    name: str
    gid: int

    def __post_init__(self) -> None:
        account_name(self.name)
        account_id(self.gid)

    @property
    def title(self) -> str:
        return f"group {self.name} has gid {self.gid}"

    def reads(self) -> tuple[Command, ...]:
        return (read("getent", "group", self.name, str(self.gid)),)

    def facts(self, outputs: Sequence[Output]) -> tuple[Group, ...]:
        return tuple(groups(getent(self.host, self.reads()[0], outputs[0])))

    def plan(self, facts: tuple[Group, ...]) -> Change | None:
        numbers = {group.name: group.gid for group in facts}
        refuse_other_number(self.host, "group", self.name, self.gid, numbers)
        if self.name in numbers:
            return None
        add = Command(("groupadd", "-g", str(self.gid), "--", self.name))
        return Change(
            f"add the group {self.name} with gid {self.gid}", (Action(add, Command(("groupdel", "--", self.name))),)
        )


def refuse_other_number(host: str, what: str, name: str, number: int, numbers: Mapping[str, int]) -> None:
    """Raise Refused when the name has another number, or another name has this one."""
    if numbers.get(name, number) != number:
        holder = next((other for other, taken in numbers.items() if taken == number), None)
        taken = f" {number} belongs to the {what} {holder} there, so choose a third number." if holder else ""
        raise Refused(
            f"The {what} {name} on {host} has the number {numbers[name]}, not {number}, and files belong to numbers. "
            f"Give it the same number everywhere, and its files too, while nothing of it runs.{taken}"
        )
    for other, taken_number in numbers.items():
        if taken_number == number and other != name:
            raise Refused(
                f"The number {number} on {host} belongs to the {what} {other} already. "
                f"Choose a number for {name} that is free on every host."
            )


@dataclass(frozen=True, slots=True)
class UserFacts:
    """Accounts that have the name or the number, and those of the wanted groups that are there."""

    users: tuple[User, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class UserHasId:
    """The account ``name`` is there with these numbers, and is in ``groups`` besides its own.

    Its home directory is not made here: that is a DirectoryPresent. The groups have to be there by the time that
    this is carried out. ``home`` and ``shell`` None: those of an account that is there are its own affair; one that is
    added gets no home and cannot log in.
    """

    host: str
    name: str
    uid: int
    group: str
    home: str | None
    shell: str | None = "/bin/bash"
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.name, self.group, *self.groups):
            account_name(name)
        account_id(self.uid)
        canonical_path(self.home or NO_HOME, "The home directory")
        if ":" in (self.home or NO_HOME) or not SHELL.match(self.shell or NO_LOGIN):
            raise BadInput(f"The account {self.name} cannot have the home {self.home} or the shell {self.shell}.")

    @property
    def title(self) -> str:
        home = f", home {self.home}" if self.home else ""
        others = f" and is in {', '.join(self.groups)}" if self.groups else ""
        return f"account {self.name} has uid {self.uid}, group {self.group}{home}{others}"

    def reads(self) -> tuple[Command, ...]:
        return (
            read("getent", "passwd", self.name, str(self.uid)),
            read("getent", "group", self.group, *self.groups),
        )

    def facts(self, outputs: Sequence[Output]) -> UserFacts:
        passwd, group = self.reads()
        return UserFacts(
            tuple(users(getent(self.host, passwd, outputs[0]))),
            tuple(groups(getent(self.host, group, outputs[1]))),
        )

    def plan(self, facts: UserFacts) -> Change | None:
        numbers = {user.name: user.uid for user in facts.users}
        refuse_other_number(self.host, "account", self.name, self.uid, numbers)
        there = next((user for user in facts.users if user.name == self.name), None)
        if there is None:
            return Change(f"add the account {self.name} with uid {self.uid}", self._add())
        gid = next((group.gid for group in facts.groups if group.name == self.group), None)
        actions = (*self._belong(there.gid, gid, there.home), *self._change(there, facts.groups))
        return Change(f"complete the account {self.name}", actions) if actions else None

    def _add(self) -> tuple[Action, ...]:
        """userdel takes along a group of the account's own name. To take back only what was added, such an account
        gets its group by a step of its own, and its home last, so that usermod finds no files to give away."""
        own = self.group == self.name
        group, home = (NOBODYS_GROUP, NO_HOME) if own else (self.group, self.home or NO_HOME)
        others = ("-G", ",".join(self.groups)) if self.groups else ()
        options = ("-M", "-u", str(self.uid), "-g", group, *others, "-d", home, "-s", self.shell or NO_LOGIN)
        add = Action(Command(("useradd", *options, "--", self.name)), Command(("userdel", "--", self.name)))
        return (add, *self._belong(NOBODY, None, NO_HOME)) if own else (add,)

    def _belong(self, gid: int, wanted: int | None, home: str) -> tuple[Action, ...]:
        """Give the account its group and home when it has none; an earlier attempt may have left it so.

        :raises Refused: it has others.
        """
        actions = []
        if gid == NOBODY:
            actions.append(Action(self._usermod("-g", self.group), self._usermod("-g", NOBODYS_GROUP)))
        elif gid != wanted:
            raise Refused(
                f"The account {self.name} on {self.host} has the primary group {gid}, not {self.group}"
                f"{f' ({wanted})' if wanted else ''}. Change it there with `usermod -g`, and its files too."
            )
        if self.home is None or home == self.home:
            return tuple(actions)
        if home == NO_HOME:
            actions.append(Action(self._usermod("-d", self.home), self._usermod("-d", NO_HOME)))
        else:
            raise Refused(
                f"The account {self.name} on {self.host} has the home {home}, not {self.home}. "
                "Move it there with `usermod -m -d` when nothing of it runs."
            )
        return tuple(actions)

    def _change(self, there: User, found: tuple[Group, ...]) -> tuple[Action, ...]:
        joined = {group.name for group in found if self.name in group.members}
        actions = [self._join(name) for name in self.groups if name not in joined]
        if self.shell and there.shell != self.shell:
            actions.append(Action(self._usermod("-s", self.shell), self._usermod("-s", there.shell or "/bin/sh")))
        return tuple(actions)

    def _join(self, group: str) -> Action:
        return Action(
            Command(("gpasswd", "-a", self.name, group)),
            Command(("gpasswd", "-d", self.name, group)),
        )

    def _usermod(self, option: str, value: str) -> Command:
        return Command(("usermod", option, value, "--", self.name))

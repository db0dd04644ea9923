"""The host that has an image lets one other host fetch it over SSH, and no longer than that takes.

The key may do nothing but run ``ssh_send.py``, from the addresses of the target, and that reads one file.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Output, WriteFile, read
from datastores.domain.routes import Route
from datastores.domain.zfs import snapshot_name
from datastores.hosts import ssh_send, zfs_send
from datastores.hosts.authorized_keys import OPEN_KEYS, AuthorizedKeysPresent, KeyFacts, as_account
from datastores.hosts.inodes import Files, gone, look, seen, the_file
from datastores.hosts.parsing import TextFile, canonical_path, text_file, text_reads

PYTHON = read("python3", "--version")
NOT_INSTALLED = 127

ALLOW = f"""{OPEN_KEYS}
[ -d .ssh ] || mkdir -m 0700 .ssh || exit
case $(ssh -V 2>&1) in
OpenSSH_[1-6].* | OpenSSH_7.[0-6]*) line=$1 ;;
OpenSSH_*) line="expiry-time=\\"$(date -d "$2 days" +%Y%m%d%H%M)\\",$1" ;;
*) line=$1 ;;
esac
add "$line"
"""
"""$1: the line; $2: days after which it is void. sshd(8) knows of that since OpenSSH 7.7, in the host's own time."""

FORBID = f"""{OPEN_KEYS}
export WORD="$1"
keep '$NF != ENVIRON["WORD"]'
"""
"""$1: the comment of the line. A file in which nothing is left is as good as none."""
DAYS = 7
"""After so many days nobody is let in with a key, whatever has become of its job."""


def allow(account: str, line: str) -> Command:
    return as_account(account, "sh", "-c", ALLOW, "sh", line, str(DAYS))


def forbid(account: str, mark: str) -> Command:
    return as_account(account, "sh", "-c", FORBID, "sh", mark)


def swept(directory: str) -> Command:
    """Return the removal of the directory of a transfer, with all that is in it."""
    return Command(("rm", "-rf", "--", directory))


def own_directory(directory: str) -> Action:
    """Return what makes the directory of a transfer."""
    return Action(Command(("install", "-d", "-m", "0700", "--", directory)), undo=swept(directory), scratch=True)


def written(path: str, content: str, before: str | None) -> Action:
    """Return the writing of a file in the directory of a transfer, which holds no secret and lets nobody else in.

    With this mode it goes together with others in one round trip.
    """
    return Action(WriteFile(path, content, before, mode="0644"), undo=gone(path), scratch=True)


def require_python(host: str, output: Output) -> None:
    """Raise Refused where there is no python3."""
    if output.exit_status == NOT_INSTALLED:
        raise Refused(
            f"There is no python3 on {host}, which transfers over SSH need there. Install it (python3-minimal)."
        )


@dataclass(frozen=True, slots=True)
class SendingFacts:
    keys: KeyFacts
    script: TextFile
    source: TextFile
    files: Files


@dataclass(frozen=True, slots=True)
class Letting:
    """A key of ``route`` may run one program here, which reads one thing: what the two steps below have in common."""

    route: Route

    @property
    def host(self) -> str:
        return self.route.source

    @property
    def line(self) -> str:
        """Return the line of authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT)."""
        route = self.route
        send = f"exec python3 -I {route.directory}/send.py"
        command = send if route.account == "root" else f"exec sudo -n sh -c '{send}'"
        options = f'restrict,from="{",".join(route.seen_as)}",command="{command}"'
        return f"{options} {route.public_key} {route.mark}"

    def _is_ours(self, line: str) -> bool:
        return line == self.line or (line.startswith("expiry-time=") and line.endswith(f",{self.line}"))

    @property
    def _keys(self) -> AuthorizedKeysPresent:
        return AuthorizedKeysPresent(self.host, self.route.account, (self.route.public_key,))

    @property
    def _places(self) -> tuple[str, str]:
        return f"{self.route.directory}/send.py", f"{self.route.directory}/source"

    def _reads(self, *more: Command) -> tuple[Command, ...]:
        texts = (command for path in self._places for command in text_reads(path))
        return PYTHON, *texts, *more, *self._keys.reads()

    def _seen(self, outputs: Sequence[Output], look: Command | None = None) -> SendingFacts:
        """Return what was read. ``look``: the read that was asked for besides."""
        require_python(self.host, outputs[0])
        script, source = (
            text_file(self.host, path, texts)
            for path, texts in zip(self._places, (outputs[1:3], outputs[3:5]), strict=True)
        )
        files = seen(look, outputs[5]) if look else {}
        return SendingFacts(self._keys.facts(outputs[6 if look else 5 :]), script, source, files)

    def _let(self, facts: SendingFacts, program: str, what: str) -> Change | None:
        """Return what lets the program, of which the text is given, read ``what``."""
        self._keys.plan(facts.keys)  # refuses an account without a home, and links on the way to its keys
        script, source = self._places
        listed = any(map(self._is_ours, (facts.keys.file.text or "").splitlines()))
        if listed and (facts.script.text, facts.source.text) == (program, what):
            return None
        route = self.route
        key = Action(allow(route.account, self.line), undo=forbid(route.account, route.mark), scratch=True)
        return Change(
            f"let a key of this transfer fetch {what}, from {' or '.join(route.seen_as)} only",
            (
                own_directory(route.directory),
                written(script, program, facts.script.text),
                written(source, what, facts.source.text),
                *(() if listed else (key,)),
            ),
            note="The key may run one program, which reads this alone. It is removed when all has arrived, and is void "
            f"after {DAYS} days.",
        )


@dataclass(frozen=True, slots=True)
class SendingAllowed(Letting):
    """The target of ``route`` may fetch the file ``path``, and can do nothing else here.

    ``coming``: the file is made by a step before this one, so nobody looks for it in advance.
    """

    path: str
    coming: bool = False

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.route.target} may fetch {self.path}"

    def reads(self) -> tuple[Command, ...]:
        return self._reads(look(self.path))

    def facts(self, outputs: Sequence[Output]) -> SendingFacts:
        return self._seen(outputs, look(self.path))

    def plan(self, facts: SendingFacts) -> Change | None:
        if not self.coming:
            the_file(self.host, facts.files, self.path)
        return self._let(facts, inspect.getsource(ssh_send), self.path)


@dataclass(frozen=True, slots=True)
class StreamAllowed(Letting):
    """The target of ``route`` may fetch the snapshot ``name`` of ``dataset``, and can do nothing else here."""

    dataset: str
    name: str

    def __post_init__(self) -> None:
        snapshot_name(self.dataset, self.name)

    @property
    def title(self) -> str:
        return f"{self.route.target} may fetch {self.dataset}@{self.name}"

    def reads(self) -> tuple[Command, ...]:
        return self._reads()

    def facts(self, outputs: Sequence[Output]) -> SendingFacts:
        return self._seen(outputs)

    def plan(self, facts: SendingFacts) -> Change | None:
        return self._let(facts, inspect.getsource(zfs_send), snapshot_name(self.dataset, self.name))


@dataclass(frozen=True, slots=True)
class EndingFacts:
    listed: bool
    files: Files


@dataclass(frozen=True, slots=True)
class SendingEnded:
    """Nothing of a transfer is left on the host that the image came from: no key, no program.

    ``made``: a file that was made only to be sent; "" when it was the image itself.
    """

    route: Route
    made: str = ""

    def __post_init__(self) -> None:
        if self.made:
            canonical_path(self.made)

    @property
    def host(self) -> str:
        return self.route.source

    @property
    def title(self) -> str:
        return f"nobody may fetch from {self.host} any more"

    @property
    def _keys(self) -> AuthorizedKeysPresent:
        return AuthorizedKeysPresent(self.host, self.route.account, (self.route.public_key,))

    @property
    def _look(self) -> Command:
        return look(self.route.directory, *([self.made] if self.made else []))

    def reads(self) -> tuple[Command, ...]:
        return self._look, *self._keys.reads()

    def facts(self, outputs: Sequence[Output]) -> EndingFacts:
        keys = self._keys.facts(outputs[1:])
        lines = (keys.file.text or "").splitlines()
        return EndingFacts(any(line.split()[-1:] == [self.route.mark] for line in lines), seen(self._look, outputs[0]))

    def plan(self, facts: EndingFacts) -> Change | None:
        commands = [forbid(self.route.account, self.route.mark)] if facts.listed else []
        commands += [swept(self.route.directory)] if self.route.directory in facts.files else []
        commands += [gone(self.made)] if self.made in facts.files else []
        if not commands:
            return None
        actions = tuple(Action(command, harmless=True) for command in commands)
        return Change("remove the key of this transfer, and what was made for it", actions, follows=True)

"""The secret of a CHAP account as a file of a host, from which targets and initiators there are told it.

It is written by a command's input, and nothing else ever carries it: other commands name the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from datastores.domain.errors import Refused
from datastores.domain.iscsi import SECRETS, Account, chap_secret
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts import tgt
from datastores.hosts.files import access_actions
from datastores.hosts.parsing import Entry, entries, entries_read, expect, text_file, text_reads
from datastores.hosts.secret_files import secret_digest, secret_written, unfinished

MODE = "0600"
COPIES = (tgt.DIRECTORY, "-maxdepth", "1", "-name", "cloudstore-*.conf.cloudstore[~-]*")
_DIRECTORY = Action(Command(("install", "-d", "-m", "0700", "-o", "root", "-g", "root", "--", SECRETS)), harmless=True)


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """``digest``: SHA-256 of what is in the file; "" for none. The secret itself is kept nowhere."""

    entry: Entry | None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class SecretPresent:
    """The file of the account holds its secret, with no line end behind it; root alone may read it."""

    host: str
    account: Account
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        chap_secret(self.secret)

    @property
    def title(self) -> str:
        return f"{self.account.file} holds the secret of {self.account.name}"

    def reads(self) -> tuple[Command, ...]:
        return text_reads(self.account.file)

    def facts(self, outputs: Sequence[Output]) -> SecretFacts:
        file = text_file(self.host, self.account.file, outputs)
        return SecretFacts(file.entry, secret_digest(file.text or ""))

    def plan(self, facts: SecretFacts) -> Change | None:
        path, there = self.account.file, facts.entry
        if there is not None and not there.is_file:
            raise Refused(f"{path} on {self.host} is {there}, not a file. Move it away first.")
        if there is None or facts.digest != secret_digest(self.secret):
            write = secret_written(path, self.secret, there, mode=MODE)
            return Change(write.summary, (_DIRECTORY, *write.actions), write.note)
        actions = access_actions(there, "root", "root", MODE)
        summary = f"{path}: {there.owner}:{there.group} {there.mode} becomes root:root {MODE}"
        return Change(summary, actions) if actions else None


@dataclass(frozen=True, slots=True)
class GoneFacts:
    """Files with the secret: the one of the account, and copies.

    Those of tgtd's files, and what was being written when the power of a host went.
    """

    files: dict[str, Entry]
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretGone:
    """No file holds the secret of the account any more, nor the one that it had before."""

    host: str
    account: Account

    @property
    def title(self) -> str:
        return f"{self.account.file} is gone"

    @property
    def _paths(self) -> tuple[str, str]:
        return self.account.file, f"{self.account.file}.cloudstore~"

    def reads(self) -> tuple[Command, ...]:
        holds = "-exec", "grep", "-qF", "--", f"  incominguser {self.account.name} ", "{}", ";"
        begun = SECRETS, "-maxdepth", "1", "-name", unfinished(self.account.file)
        copies = (*COPIES, *holds), begun
        return entries_read(*self._paths), *(read("find", *words, "-print0", root=True) for words in copies)

    def facts(self, outputs: Sequence[Output]) -> GoneFacts:
        look, *asked = self.reads()
        copies = "".join(self._found(*each) for each in zip(asked, outputs[1:], strict=True))
        return GoneFacts(entries(self.host, look, outputs[0]), tuple(sorted(copies.split("\0")[:-1])))

    def _found(self, ask: Command, output: Output) -> str:
        """Where there is no directory there are no files in it."""
        nowhere = output.exit_status == 1 and "No such file or directory" in output.stderr
        return "" if nowhere else expect(self.host, ask, output)

    def plan(self, facts: GoneFacts) -> Change | None:
        if others := [f"{entry.path} is {entry}" for entry in facts.files.values() if not entry.is_file]:
            raise Refused(f"{others[0]} on {self.host}, not a file of cloudstore. It was left as it is.")
        if not facts.files and not facts.copies:
            return None
        # who is given the datastore again is given the secret again
        remove = Action(Command(("rm", "-f", "--", *self._paths, *facts.copies)), harmless=True)
        return Change(f"remove {self.account.file}", (remove,))

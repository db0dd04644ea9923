"""The files that make a host a client of a Ceph cluster: where the cluster is, and the key of an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from datastores.domain import ceph as words
from datastores.domain.ceph import Access
from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Output, WriteFile
from datastores.domain.values import account_name
from datastores.hosts.files import access_actions
from datastores.hosts.parsing import Entry, TextFile, editable, text_file, text_reads
from datastores.hosts.secret_files import secret_digest, secret_written


@dataclass(frozen=True, slots=True)
class CephConfPresent:
    """``/etc/ceph/<cluster>.conf`` leads to this cluster. What somebody else wrote there stays as it is."""

    host: str
    cluster: str
    fsid: str
    monitors: str

    def __post_init__(self) -> None:
        Access(self.cluster)
        words.cluster_id(self.fsid), words.monitors(self.monitors)

    @property
    def path(self) -> str:
        return Access(self.cluster).conf

    @property
    def title(self) -> str:
        return f"{self.path} leads to the cluster {self.fsid}"

    def reads(self) -> tuple[Command, ...]:
        return text_reads(self.path)

    def facts(self, outputs: Sequence[Output]) -> TextFile:
        return text_file(self.host, self.path, outputs)

    def plan(self, facts: TextFile) -> Change | None:
        before, wanted = editable(self.host, self.path, facts), words.conf(self.fsid, self.monitors)
        there = words.settings(before or "", "global")
        if before is not None and there.get("fsid") != self.fsid:
            raise Refused(
                f"{self.path} on {self.host} is that of another cluster ({there.get('fsid', 'no fsid')}), not of "
                f"{self.fsid}. Give the datastore another name of the cluster, or move the file away."
            )
        known = there.get("mon_host", "").replace(",", " ").split()
        if before is not None and sorted(known) == sorted(self.monitors.split(",")):
            return None
        if before is not None and before != words.conf(self.fsid, there.get("mon_host", "")):
            raise Refused(
                f"{self.path} on {self.host} names other monitors ({', '.join(known) or 'none'}) than {self.monitors}, "
                "and was written by somebody else. Put mon_host right there."
            )
        write = WriteFile(self.path, wanted, before)
        return Change(f"write {self.path}", (Action(write, write.undo),))


@dataclass(frozen=True, slots=True)
class KeyringFacts:
    """``digest``: SHA-256 of the key that is in the file; "" for none. The key itself is kept nowhere."""

    entry: Entry | None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class CephKeyringPresent:
    """The keyring of an account holds its key, and nobody but root, or ``group``, may read it.

    The key is a secret: it is written by a command's input, and compared by its digest.
    """

    host: str
    access: Access
    key: str = field(repr=False)
    group: str = "root"

    def __post_init__(self) -> None:
        words.cephx_key(self.key)
        account_name(self.group)

    @property
    def path(self) -> str:
        return self.access.keyring

    @property
    def mode(self) -> str:
        return "0600" if self.group == "root" else "0640"

    @property
    def title(self) -> str:
        return f"{self.path} holds the key of {self.access.entity}"

    def reads(self) -> tuple[Command, ...]:
        return text_reads(self.path)

    def facts(self, outputs: Sequence[Output]) -> KeyringFacts:
        file = text_file(self.host, self.path, outputs)
        return KeyringFacts(
            file.entry, secret_digest(words.settings(file.text or "", self.access.entity).get("key", ""))
        )

    def plan(self, facts: KeyringFacts) -> Change | None:
        there = facts.entry
        if there is not None and not there.is_file:
            raise Refused(f"{self.path} on {self.host} is {there}, not a file. Move it away first.")
        if there is None or facts.digest != secret_digest(self.key):
            text = words.keyring(self.access.entity, self.key)
            return secret_written(self.path, text, there, group=self.group, mode=self.mode)
        actions = access_actions(there, "root", self.group, self.mode)
        before = f"{there.owner}:{there.group} {there.mode}"
        summary = f"{self.path}: {before} becomes root:{self.group} {self.mode}"
        return Change(summary, actions) if actions else None

"""Secrets of libvirt, with which it starts VMs: keys of Ceph accounts, CHAP secrets (formatsecret of libvirt)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from datastores.domain.ceph import Access
from datastores.domain.errors import BadInput, CommandFailed
from datastores.domain.iscsi import Account
from datastores.domain.plan import Action, Change, Command, Output, encode, read
from datastores.hosts.parsing import entries, entries_read
from datastores.hosts.secret_files import secret_digest

VIRSH = ("virsh", "-q", "-c", "qemu:///system")
NOT_INSTALLED = 127
NOT_FOUND = "virsh: command not found"
"""What sudo says where there is no virsh."""
SILENT = "failed to connect to the hypervisor"
"""What virsh says where no libvirt runs: there is none, or it is stopped."""
ENABLED = read(
    "systemctl", "is-enabled", "libvirtd.service", "libvirtd.socket", "virtqemud.service", "virtqemud.socket"
)
KEPT = "/etc/libvirt/secrets"
"""Where libvirt keeps secrets, whether or not it runs (virsecret.c, secretStateInitialize)."""
STARTED = frozenset({"enabled", "enabled-runtime"})
NO_SECRET = "no secret with matching uuid"  # noqa: S105
NO_VALUE = "does not have a value"
FROM_INPUT = 'cat | "$@"'
"""virsh opens a file by its name, and its input may be a socket, which has none that can be opened."""
_ELEMENTS = {"ceph": "name", "iscsi": "target"}
_WORD = re.compile(r"[A-Za-z0-9._:@+ -]{1,200}\Z")
_KEY = re.compile(r"[A-Za-z0-9+/]{4,}={0,2}\Z")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a secret is for. ``kind``: ceph or iscsi. ``name``: by which domains ask for it. ``owner``: whose it is."""

    kind: str
    name: str
    owner: str

    def __post_init__(self) -> None:
        if self.kind not in _ELEMENTS or not _WORD.match(self.name):
            raise BadInput(f"{self.name[:60]!r} cannot be what a secret of libvirt is for.")

    @property
    def xml(self) -> str:
        element = _ELEMENTS[self.kind]
        return f"<usage type='{self.kind}'><{element}>{self.name}</{element}></usage>"


def of_ceph(access: Access) -> Usage:
    return Usage("ceph", f"{access.entity} secret of {access.cluster}", access.entity)


def of_chap(account: Account) -> Usage:
    return Usage("iscsi", account.name, account.name)


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """``libvirt``: it is to run there. ``digest``: SHA-256 of the value; "" for none. The value itself is kept nowhere.

    Where it is only stopped, there are no facts: reading fails.
    """

    libvirt: bool
    defined: bool = False
    digest: str = ""


@dataclass(frozen=True, slots=True)
class OfSecret:
    """What is said of one secret of a host's libvirt, and how that is read."""

    host: str
    usage: Usage
    uuid: str

    def __post_init__(self) -> None:
        UUID(self.uuid)

    def reads(self) -> tuple[Command, ...]:
        kept = entries_read(f"{KEPT}/{self.uuid}.xml")
        return read(*VIRSH, "secret-get-value", self.uuid, root=True), ENABLED, kept

    def facts(self, outputs: Sequence[Output]) -> SecretFacts:
        (output, enabled, kept), (command, _, asked) = outputs, self.reads()
        said = output.stderr.lower()
        if output.exit_status == NOT_INSTALLED or NOT_FOUND in said:
            return SecretFacts(libvirt=False)
        if SILENT in said and not STARTED.intersection(enabled.stdout.split()) and not entries(self.host, asked, kept):
            return SecretFacts(libvirt=False)
        if NO_SECRET in said:
            return SecretFacts(libvirt=True)
        if NO_VALUE in said:
            return SecretFacts(libvirt=True, defined=True)
        if not output.ok:
            raise CommandFailed(command.argv, output.exit_status, output.stderr, self.host)
        return SecretFacts(True, True, secret_digest(output.stdout.strip()))

    @property
    def undefine(self) -> Command:
        return Command((*VIRSH, "secret-undefine", self.uuid))


@dataclass(frozen=True, slots=True)
class LibvirtSecretDefined(OfSecret):
    """Where libvirt runs, it knows the key of an account as the secret ``uuid``, which domains name.

    ``key``: in Base64, as virsh takes it. It is no private one, so that its value can be compared. Where libvirt is not
    installed, or is not to run, nothing is to be done.
    """

    key: str = field(repr=False)

    def __post_init__(self) -> None:
        OfSecret.__post_init__(self)
        if not _KEY.match(self.key):
            raise BadInput("The key is no text in Base64.")

    @property
    def title(self) -> str:
        return f"libvirt, where it runs, knows the key of {self.usage.owner} as {self.uuid}"

    def plan(self, facts: SecretFacts) -> Change | None:
        if not facts.libvirt or facts.digest == secret_digest(self.key):
            return None
        define = self._virsh("secret-define", "/dev/stdin", stdin=self._xml())
        value = self._virsh("secret-set-value", self.uuid, "--file", "/dev/stdin", stdin=self.key, secret=True)
        defined = () if facts.defined else (Action(define, undo=self.undefine),)
        note = "The key that it knew before is replaced." if facts.digest else ""
        return Change(f"tell libvirt the key of {self.usage.owner}", (*defined, Action(value, harmless=True)), note)

    def _virsh(self, *words: str, stdin: str, secret: bool = False) -> Command:
        return Command(("sh", "-c", FROM_INPUT, "sh", *VIRSH, *words), stdin=encode(stdin), secret=secret)

    def _xml(self) -> str:
        return f"<secret ephemeral='no' private='no'><uuid>{self.uuid}</uuid>{self.usage.xml}</secret>\n"


@dataclass(frozen=True, slots=True)
class LibvirtSecretGone(OfSecret):
    """libvirt does not know the secret ``uuid`` any more. Machines that run go on; none that names it starts again."""

    @property
    def title(self) -> str:
        return f"libvirt does not know the key of {self.usage.owner} as {self.uuid}"

    def plan(self, facts: SecretFacts) -> Change | None:
        if not facts.defined:
            return None
        # who is given the datastore again has it told again
        return Change(f"have libvirt forget the key of {self.usage.owner}", (Action(self.undefine, harmless=True),))

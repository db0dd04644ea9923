"""The key of a Ceph account as a secret of libvirt, which starts VMs with it (formatsecret of libvirt)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from datastores.domain.ceph import Access, cephx_key
from datastores.domain.errors import CommandFailed
from datastores.domain.plan import Action, Change, Command, Output, encode, read
from datastores.hosts.ceph_files import digest

VIRSH = ("virsh", "-q", "-c", "qemu:///system")
NOT_INSTALLED = 127
NOT_THERE = ("failed to connect to the hypervisor", "virsh: command not found")
"""What virsh says where no libvirt runs, and sudo where there is no virsh."""
NO_SECRET = "no secret with matching uuid"  # noqa: S105
NO_VALUE = "does not have a value"
FROM_INPUT = 'cat | "$@"'
"""virsh opens a file by its name, and its input may be a socket, which has none that can be opened."""


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """``libvirt``: it runs there. ``digest``: SHA-256 of the value; "" for none. The value itself is kept nowhere."""

    libvirt: bool
    defined: bool = False
    digest: str = ""


@dataclass(frozen=True, slots=True)
class LibvirtSecretDefined:
    """Where libvirt runs, it knows the key of the account as the secret ``uuid``, which domains name.

    It is no private one, so that its value can be compared. Where libvirt does not run, nothing is to be done.
    """

    host: str
    access: Access
    uuid: str
    key: str = field(repr=False)

    def __post_init__(self) -> None:
        cephx_key(self.key)
        UUID(self.uuid)

    @property
    def title(self) -> str:
        return f"libvirt, where it runs, knows the key of {self.access.entity} as {self.uuid}"

    def reads(self) -> tuple[Command, ...]:
        return (read(*VIRSH, "secret-get-value", self.uuid, root=True),)

    def facts(self, outputs: Sequence[Output]) -> SecretFacts:
        (output,), (command,) = outputs, self.reads()
        said = output.stderr.lower()
        if output.exit_status == NOT_INSTALLED or any(words in said for words in NOT_THERE):
            return SecretFacts(libvirt=False)
        if NO_SECRET in said:
            return SecretFacts(libvirt=True)
        if NO_VALUE in said:
            return SecretFacts(libvirt=True, defined=True)
        if not output.ok:
            raise CommandFailed(command.argv, output.exit_status, output.stderr, self.host)
        return SecretFacts(True, True, digest(output.stdout.strip()))

    def plan(self, facts: SecretFacts) -> Change | None:
        if not facts.libvirt or facts.digest == digest(self.key):
            return None
        define = self._virsh("secret-define", "/dev/stdin", stdin=self._xml())
        undefine = Command((*VIRSH, "secret-undefine", self.uuid))
        value = self._virsh("secret-set-value", self.uuid, "--file", "/dev/stdin", stdin=self.key, secret=True)
        defined = () if facts.defined else (Action(define, undo=undefine),)
        note = "The key that it knew before is replaced." if facts.digest else ""
        return Change(f"tell libvirt the key of {self.access.entity}", (*defined, Action(value, harmless=True)), note)

    def _virsh(self, *words: str, stdin: str, secret: bool = False) -> Command:
        return Command(("sh", "-c", FROM_INPUT, "sh", *VIRSH, *words), stdin=encode(stdin), secret=secret)

    def _xml(self) -> str:
        name = f"<name>{self.access.entity} secret of {self.access.cluster}</name>"
        usage = f"<usage type='ceph'>{name}</usage>"
        return f"<secret ephemeral='no' private='no'><uuid>{self.uuid}</uuid>{usage}</secret>\n"

"""Keep everybody off a host whose key is another one, until an admin has compared the fingerprints."""

from __future__ import annotations

from datastores.domain.errors import HostKeyChanged
from datastores.domain.states import HostState
from datastores.models import Host, HostKey
from datastores.models.audit import in_turn, record
from datastores.services.notifications import tell
from datastores.transport.hostkeys import fingerprint


def quarantine_after(error: BaseException) -> None:
    """Put the host in quarantine if the error is a changed host key, or comes from one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HostKeyChanged):
        cause = cause.__cause__
    if cause is not None:
        quarantine(cause)


def quarantine(error: HostKeyChanged) -> None:
    """Do it, unless the key that the host offered was pinned since: the job still knew the old one."""
    host = Host.objects.filter(name=error.host).first()
    if host is None:
        return
    with in_turn():
        key, _ = HostKey.objects.get_or_create(
            host=host, fingerprint=fingerprint(error.offered_line), defaults={"line": error.offered_line}
        )
        if not key.pinned_at:
            Host.objects.filter(pk=host.pk).update(state=HostState.QUARANTINED, error=str(error))
            record("host.quarantined", user=None, target=host, result="quarantined", reason=str(error))
            if host.state != HostState.QUARANTINED:
                tell("host.quarantined", f"{host.name} is in quarantine", str(error), host.get_absolute_url(),
                     f"host:{host.pk}")  # fmt: skip

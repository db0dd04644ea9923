"""Every failure that a job or a page may show to an operator."""

from __future__ import annotations

from datastores.domain.causes import cause


class CloudstoreError(Exception):
    """Root of the errors this project raises on purpose; the message is for the operator."""


class BadInput(CloudstoreError):
    """A value that a person or a remote side gave is not acceptable; nothing was done."""


class Unreachable(CloudstoreError):
    """The host did not answer, or stopped answering: what an unfinished command did is unknown."""

    host = ""
    """Its name, where it is known."""


class LostTouch(Unreachable):
    """The host went away when something had been done on it: facts have to decide later."""


class NotConnected(Unreachable):
    """No connection could be made, so nothing was changed by this attempt."""


class AuthenticationFailed(NotConnected):
    """The host answered and refused the account, key or password."""


class HostKeyChanged(NotConnected):
    """The host's key is not the pinned one. ``offered_line`` is the public key that it showed."""

    def __init__(self, host: str, expected: str, offered: str, offered_line: str = "") -> None:
        super().__init__(
            f"{host} offered the key {offered}, but {expected} is pinned. Nothing was sent to it. "
            "If the host was reinstalled, compare the fingerprint on its console and pin the new key."
        )
        self.host, self.expected, self.offered, self.offered_line = host, expected, offered, offered_line


class HostGone(CloudstoreError):
    """The host is not known any more: nothing can be asked of it, and waiting for it is in vain."""


class CommandFailed(CloudstoreError):
    """A command ran on a host and exited with another status than 0."""

    def __init__(self, argv: tuple[str, ...], exit_status: int, stderr: str, host: str = "") -> None:
        reason = stderr.strip() or "no message"
        where = f" on {host}" if host else ""
        said = f"{argv[0]}{where} failed: {reason} (exit status {exit_status})"
        super().__init__(f"{known} {said}" if (known := cause(exit_status, stderr, host)) else said)
        self.argv, self.exit_status, self.stderr = argv, exit_status, stderr


class TimedOut(CommandFailed):
    """A command was stopped on the host because its time was up."""


class NotVerified(CloudstoreError):
    """A step ran without error, yet the host is still not in the wanted state."""


class StalePlan(CloudstoreError):
    """The host changed between the approval of the plan and its turn."""


class Refused(CloudstoreError):
    """The request is not safe as things stand; the message says what to do first."""


class ChangedSince(Refused):
    """Somebody changed what it is about since the person saw it: the page has to be loaded again."""


class Unsupported(CloudstoreError):
    """This kind of datastore cannot do that."""


class Busy(CloudstoreError):
    """Another job holds what this one needs; the message says which."""


class Cancelled(CloudstoreError):
    """An operator asked the job to stop."""


class NotTakenBack(CloudstoreError):
    """The job was stopped as an operator asked, but not all that it had done could be taken back."""

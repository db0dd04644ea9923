"""How a message leaves: posted to a webhook, or mailed. Nothing here knows the database.

A webhook gets JSON, signed with the target's secret:
``X-Cloudstore-Signature: sha256=<HMAC-SHA256 of the body, hexadecimal>``. Redirects are not followed: they would take
what was signed for one host to another.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from datastores.domain.errors import BadInput, CloudstoreError
from datastores.domain.values import web_address
from datastores.jobs.deadlines import Deadline, within
from datastores.jobs.outward import Checked, NotAllowed
from datastores.services.notifications import plain

DEADLINE = 30.0
"""For all of it: who answers a byte at a time holds up nobody else."""
GOODBYE = 3.0
"""For the end of a conversation with a mail server, after all of it."""
LONGEST = DEADLINE + GOODBYE
READ_AT_MOST = 2000
TOLD_AT_MOST = 200


class NotDelivered(CloudstoreError):
    """The other side could not be reached, or did not take the message."""


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to one target. ``id`` stays the same through all attempts."""

    id: str
    event: str
    subject: str
    text: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """A target as plain values."""

    kind: str
    address: str
    secret: str = ""


def send(to: Address, message: Message) -> str:
    """Deliver the message; return what the other side said.

    :raises NotDelivered: it did not take it; the message says why.
    """
    return mail(to.address, message) if to.kind == "email" else post(to, message)


def post(to: Address, message: Message) -> str:
    try:
        url = urlsplit(web_address(to.address))
    except BadInput as error:
        raise NotDelivered(str(error)) from error
    body = json.dumps(message.payload).encode()
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    tls = ssl.create_default_context() if url.scheme == "https" else None
    try:
        with within(DEADLINE) as deadline, closing(Checked(url.hostname or "", url.port, deadline, tls)) as connection:
            connection.request("POST", path, body, headers_of(to, message, body))
            answer = connection.getresponse()
            words = without(url, f"{answer.reason}: {excerpt(answer.read(READ_AT_MOST))}")
            said = f"{answer.status} {words}".strip(" :")
    except NotAllowed as error:
        raise NotDelivered(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise NotDelivered(f"{url.hostname} could not be reached: {reason_of(error)}.") from error
    if 300 <= answer.status < 400:
        raise NotDelivered(f"It answered {answer.status}. Redirects are not followed.")
    if not 200 <= answer.status < 300:
        raise NotDelivered(f"It answered {said}.")
    return said


def headers_of(to: Address, message: Message, body: bytes) -> dict[str, str]:
    signature = hmac.new(to.secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "cloudstore",
        "X-Cloudstore-Event": message.event,
        "X-Cloudstore-Delivery": message.id,
        **({"X-Cloudstore-Signature": f"sha256={signature}"} if to.secret else {}),
    }


def mail(address: str, message: Message) -> str:
    if not settings.EMAIL_HOST:
        raise NotDelivered("No mail server is set: CLOUDSTORE_SMTP_HOST names it.")
    headers = {
        "Message-ID": f"<{message.id}@cloudstore>",
        "X-Cloudstore-Event": message.event,
        "Auto-Submitted": "auto-generated",
    }
    server = MailServer()
    letter = EmailMessage(plain(message.subject), message.text, to=[address], headers=headers, connection=server)
    try:
        with within(DEADLINE) as server.deadline:
            server.open()
            letter.send()
    except (OSError, smtplib.SMTPException) as error:
        raise NotDelivered(f"The mail server {settings.EMAIL_HOST} did not take it: {reason_of(error)}.") from error
    finally:
        server.hang_up()
    return f"The mail server {settings.EMAIL_HOST} took it."


class MailServer(EmailBackend):
    """The mail server of the installation, with which all of a conversation has a deadline."""

    deadline: Deadline
    connection: smtplib.SMTP | None

    @property
    def connection_class(self) -> Callable[..., smtplib.SMTP]:  # type: ignore[override]  # what makes one will do
        return partial(WatchedSMTP, deadline=self.deadline)

    def hang_up(self) -> None:
        """Say goodbye. That the other side is slow to answer does not matter any more: it took the message or not."""
        if self.connection and self.connection.sock:
            with suppress(OSError, smtplib.SMTPException), within(GOODBYE) as deadline:
                deadline.watch(self.connection.sock)
                self.close()


class WatchedSMTP(smtplib.SMTP):
    def __init__(self, *args: Any, deadline: Deadline, **kwargs: Any) -> None:
        self.deadline = deadline
        super().__init__(*args, **kwargs)

    # the greeting is read where the connection is made, so the deadline has to know of it in between
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock: socket.socket = super()._get_socket(host, port, timeout)
        self.deadline.watch(sock)
        return sock


def without(url: SplitResult, text: str) -> str:
    """Return a text without the path and the query of the address, which are often what lets one post there."""
    for part in filter(None, (url.query, url.path.strip("/"), *url.path.split("/"))):
        if len(part) > 3:
            text = text.replace(part, "...")
    return text


def reason_of(error: Exception) -> str:
    """Return what went wrong in a few words."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, smtplib.SMTPResponseException):
        return excerpt(b"%d %s" % (error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""))
    return excerpt(str(getattr(error, "strerror", None) or error or type(error).__name__).encode()).rstrip(".")


def excerpt(body: bytes) -> str:
    """Return the beginning of what was answered, as one line."""
    return plain(body.decode("utf-8", "replace"))[:TOLD_AT_MOST]

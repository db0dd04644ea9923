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
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.mail import EmailMessage

from datastores.domain.errors import BadInput, CloudstoreError
from datastores.domain.values import web_address
from datastores.services.notifications import plain

SECONDS = 10.0
"""For each answer of the other side."""
DEADLINE = 30.0
"""For all of it: who answers a byte at a time holds up nobody else."""
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
    connection = connection_to(url.scheme, url.hostname or "", url.port)
    late = threading.Event()
    overdue = threading.Timer(DEADLINE, cut, [connection, late])
    overdue.daemon = True
    overdue.start()
    try:
        connection.request("POST", path, body, headers_of(to, message, body))
        answer = connection.getresponse()
        words = without(url, f"{answer.reason}: {excerpt(answer.read(READ_AT_MOST))}")
        said = f"{answer.status} {words}".strip(" :")
        if late.is_set():  # what was cut off reads like an answer
            raise TimeoutError
    except (OSError, http.client.HTTPException) as error:
        raise NotDelivered(f"{url.hostname} could not be reached: {reason_of(error)}.") from error
    finally:
        overdue.cancel()
        connection.close()
    if 300 <= answer.status < 400:
        raise NotDelivered(f"It answered {answer.status}. Redirects are not followed.")
    if not 200 <= answer.status < 300:
        raise NotDelivered(f"It answered {said}.")
    return said


def connection_to(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=SECONDS)


def cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    """End a connection on which another thread waits."""
    late.set()
    if connection.sock:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has just ended by itself


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
    letter = EmailMessage(plain(message.subject), message.text, to=[address], headers=headers)
    try:
        letter.send()
    except (OSError, smtplib.SMTPException) as error:
        raise NotDelivered(f"The mail server {settings.EMAIL_HOST} did not take it: {reason_of(error)}.") from error
    return f"The mail server {settings.EMAIL_HOST} took it."


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

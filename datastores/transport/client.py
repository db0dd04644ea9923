"""paramiko's side of a connection, with what it lacks."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Iterator
from typing import Any

from paramiko import Channel, Message, Transport
from paramiko.common import MSG_CHANNEL_CLOSE, MSG_CHANNEL_REQUEST

# What goes wrong reaches the operator as an error of ours; without a handler Python would print it as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class OrderedChannel(Channel):
    """A channel on which nothing follows our answer to the host's close.

    A message is made while the channel's lock is held, and sent after that. When a command ends just then, paramiko
    answers its close in between; sshd takes what follows for a fault ("ieof packet referred to nonexistent channel")
    and ends the connection, with all that runs on it.
    """

    sending: int
    answer: list[Message]
    """What is to be said when nothing is being sent any more."""

    def _send(self, s: Any, m: Message) -> int:
        with self._before_the_answer():
            return int(super()._send(s, m))  # type: ignore[misc]

    def shutdown(self, how: int) -> None:
        with self._before_the_answer():
            super().shutdown(how)

    @contextlib.contextmanager
    def _before_the_answer(self) -> Iterator[None]:
        with self.lock:
            self.sending += 1
        try:
            yield
        finally:
            with self.lock:
                self.sending -= 1
                answer, self.answer = ([], self.answer) if self.sending else (self.answer, [])
            _send(self, answer)


def _send(channel: Any, messages: list[Message]) -> None:
    for message in messages:
        channel.transport._send_user_message(message)


def _on_close(channel: Any, message: Message) -> None:
    """Close it here at once, and answer unless something is being sent: then whoever sends it answers."""
    with channel.lock:
        answer = [each for each in channel._close_internal() if each is not None]
        channel.transport._unlink_channel(channel.chanid)
        if isinstance(channel, OrderedChannel) and channel.sending:
            channel.answer += answer
            return
    _send(channel, answer)


def _on_request(channel: Channel, message: Message) -> None:
    """Keep the signal that ended a command as 128 + its number, as shells do; paramiko drops "exit-signal"."""
    copy = Message(message.get_remainder())
    if copy.get_text() != "exit-signal":
        Channel._handle_request(channel, message)  # type: ignore[attr-defined]
        return
    copy.get_boolean()
    name = f"SIG{copy.get_text()}"
    channel.exit_status = 128 + signal.Signals[name] if name in signal.Signals.__members__ else 255
    channel.status_event.set()


class Client(Transport):
    """A transport with modern algorithms only, AES-GCM first: it is the fastest in Python."""

    _preferred_ciphers = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    )
    _preferred_macs = (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    )
    _channel_handler_table = {
        **Transport._channel_handler_table,  # type: ignore[attr-defined]
        MSG_CHANNEL_CLOSE: _on_close,
        MSG_CHANNEL_REQUEST: _on_request,
    }

    def open_channel(self, *args: Any, **options: Any) -> Channel:
        channel: Any = super().open_channel(*args, **options)
        with channel.lock:
            channel.__class__ = OrderedChannel  # paramiko makes them of its own class only
            channel.sending, channel.answer = 0, []
        return channel  # type: ignore[no-any-return]

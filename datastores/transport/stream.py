"""Follow one running command: feed its stdin, take what it says, learn how it ended."""

from __future__ import annotations

import codecs
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from paramiko import Channel, SSHException

from datastores.domain.errors import CommandFailed, Unreachable
from datastores.domain.plan import OnOutput
from datastores.transport.quoting import STOPPED

PIECE = 65536
"""Bytes per read. Larger windows or reads make paramiko slower: its buffers are quadratic in what they hold."""
POLL = 0.1
FEED_POLL = 0.005
SETTLED = 5.0
"""Seconds of silence after which a command that has ended is taken as complete, though something it started
still holds its output open. A busy host says that it has ended well before it sends the last of the output."""
PARTIAL = 1.0
"""Seconds after which an unfinished line is passed on as it is."""
LINE_MAX = 8192
TAIL = 65536
"""Bytes that are kept of an output which was passed on already."""
LOST = (EOFError, OSError, SSHException)
"""What paramiko raises when the connection breaks."""
LONGEST_STATUS = len(b"255.")
LIMIT = 64 << 20
"""Bytes that are kept of an output which was not."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said and how it ended; 128 + N: by signal N. ``seconds``: how long it ran."""

    status: int
    stdout: bytes
    stderr: bytes
    seconds: float

    def was_stopped(self, after: float) -> bool:
        """Did the host end it because ``after`` seconds were over? The clock starts here a little later."""
        return self.status in STOPPED and self.seconds > 0.9 * after


class Lines:
    """Turns bytes into text, passed on in whole lines where possible."""

    def __init__(self, on_output: OnOutput) -> None:
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._since = 0.0

    def feed(self, data: bytes) -> None:
        text = self._rest + self._decoder.decode(data)
        # A progress bar ends its lines with \\r; one at the very end may be half of \\r\\n.
        cut = (text.rfind("\n") + 1) or (text.rfind("\r", 0, -1) + 1)
        if len(text) - cut > LINE_MAX:
            cut = len(text)
        if not self._rest or cut:
            self._since = time.monotonic()
        self._rest = text[cut:]
        if cut:
            self._on_output(text[:cut])

    def idle(self) -> None:
        """Nothing came for a moment: a prompt or half a line shall not wait for ever."""
        if self._rest and time.monotonic() - self._since > PARTIAL:
            self._pass_rest()

    def end(self) -> None:
        self._rest += self._decoder.decode(b"", final=True)
        if self._rest:
            self._pass_rest()

    def _pass_rest(self) -> None:
        text, self._rest = self._rest, ""
        self._on_output(text)


class Kept:
    """One of the two outputs: kept whole, up to a limit, or passed on and only its end kept."""

    def __init__(self, on_output: OnOutput | None) -> None:
        self.data = bytearray()
        self.lines = Lines(on_output) if on_output else None

    def feed(self, piece: bytes) -> None:
        self.data += piece
        if self.lines:
            if len(self.data) > 2 * TAIL:
                del self.data[:-TAIL]
            self.lines.feed(piece)

    def end(self) -> bytes:
        if not self.lines:
            return bytes(self.data)
        self.lines.end()
        return bytes(self.data[-TAIL:])


class Follower:
    """Takes what a running command says until it has ended.

    While ``on_output`` is busy nothing is read, so that the SSH window makes the host wait: at most 2 MiB are
    under way. ``patience``: seconds of silence that are not believable any more, because the host should have
    ended the command. ``mark``: what ends both outputs of a command whose shell goes on (``quoting.marked``).
    """

    def __init__(
        self, channel: Channel, argv: tuple[str, ...], *, host: str, patience: float,
        on_output: OnOutput | None = None, mark: bytes = b"",
    ) -> None:  # fmt: skip
        self._channel, self._argv, self._host, self._patience = channel, argv, host, patience
        self._mark = mark
        self.came_to_mark = False
        self._stdout, self._stderr = Kept(on_output), Kept(on_output)
        self._began = self._spoke = time.monotonic()
        self._ended = 0.0

    def follow(self, stdin: bytes = b"") -> Said:
        """Feed ``stdin`` and return what the command said.

        :raises Unreachable: the connection was lost, or the host is silent for too long.
        :raises CommandFailed: it said too much to be kept.
        """
        if self._mark:
            if said := self._to_mark():
                return said
        elif not stdin:
            self._end_input()
        if self._listen(memoryview(stdin)):
            while piece := self._receive(self._channel.recv_stderr):
                self._take(self._stderr, piece)
            if not self._channel.status_event.wait(self._patience):
                raise self._silent()
            if self._channel.exit_status < 0 or not self._channel.eof_received:
                raise self._lost()
        seconds = time.monotonic() - self._began
        return Said(self._channel.exit_status, self._stdout.end(), self._stderr.end(), seconds)

    def _listen(self, unsent: memoryview) -> bool:
        """Take output as it comes. True: up to its end; False: the command has ended, but something that it
        started holds its output open."""
        channel = self._channel
        while True:
            unsent = self._feed(unsent)
            channel.settimeout(FEED_POLL if unsent else POLL)
            try:
                piece = self._receive(channel.recv)
            except TimeoutError:
                if self._has_settled():
                    return False
            else:
                if not piece:
                    return True
                self._take(self._stdout, piece)
            while channel.recv_stderr_ready():
                self._take(self._stderr, self._receive(channel.recv_stderr))

    def _to_mark(self) -> Said | None:
        """Take output up to the mark. None: the shell has ended before it."""
        channel, stdout, stderr = self._channel, self._stdout, self._stderr
        channel.settimeout(POLL)
        while (place := self._marked(stdout.data)) < 0 or not stderr.data.endswith(self._mark):
            receive, kept = (channel.recv, stdout) if place < 0 else (channel.recv_stderr, stderr)
            try:
                piece = self._receive(receive)
            except TimeoutError:
                self._check_silence()
            else:
                if not piece:
                    return None
                self._take(kept, piece)
            while channel.recv_stderr_ready():
                self._take(stderr, self._receive(channel.recv_stderr))
        self.came_to_mark = True
        said = bytes(stdout.data[:place]), bytes(stderr.data[: -len(self._mark)])
        status = int(stdout.data[place + len(self._mark) : -1])
        return Said(status, *said, time.monotonic() - self._began)

    def _marked(self, data: bytearray) -> int:
        """Return where the mark begins with which the output ends, and the status; -1: it does not."""
        return data.rfind(self._mark, -len(self._mark) - LONGEST_STATUS) if data.endswith(b".") else -1

    def _receive(self, receive: Callable[[int], bytes]) -> bytes:
        try:
            return receive(PIECE)
        except TimeoutError:
            raise
        except LOST as error:  # reading also tells the host to send more
            raise self._lost() from error

    def _feed(self, unsent: memoryview) -> memoryview:
        """Send as much as the host takes now, and the end of the input after the last of it."""
        channel = self._channel
        while unsent and channel.send_ready():
            try:
                sent = channel.send(bytes(unsent[:PIECE]))
            except LOST:
                sent = 0
            if not sent:  # the command ended before it read all of its input, or all is lost: reading tells which
                return memoryview(b"")
            unsent = unsent[sent:]
            if not unsent:
                self._end_input()
        return unsent

    def _end_input(self) -> None:
        with contextlib.suppress(*LOST):  # reading tells
            self._channel.shutdown_write()

    def _take(self, kept: Kept, piece: bytes) -> None:
        kept.feed(piece)
        self._spoke = time.monotonic()
        if not kept.lines and len(kept.data) > LIMIT:
            raise CommandFailed(self._argv, -1, f"it says more than {LIMIT >> 20} MiB", self._host)

    def _has_settled(self) -> bool:
        """In a moment of silence: has the command ended, though something it started holds its output open?"""
        for kept in (self._stdout, self._stderr):
            if kept.lines:
                kept.lines.idle()
        self._check_silence()
        if self._channel.exit_status < 0:
            return False
        now = time.monotonic()
        self._ended = self._ended or now
        return now - max(self._spoke, self._ended) > SETTLED

    def _check_silence(self) -> None:
        if time.monotonic() - self._spoke > self._patience:
            raise self._silent()

    def _lost(self) -> Unreachable:
        return Unreachable(
            f"The connection to {self._host} was lost while {self._argv[0]} ran; what it did is unknown."
        )

    def _silent(self) -> Unreachable:
        return Unreachable(
            f"{self._host} has been silent for {self._patience:.0f} s, longer than {self._argv[0]} may take; "
            "what it did is unknown."
        )

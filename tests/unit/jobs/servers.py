"""A web server and a mail server of the test, in threads."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """``answers``: (status, headers, body) of the next requests, then 200."""

    port: int = 0
    posted: list[Posted] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    dribbles: bool = False
    """Answers a byte at a time, and never comes to an end."""
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@contextlib.contextmanager
def web_server() -> Iterator[Web]:
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            web.posted.append(Posted(self.path, dict(self.headers), body))
            if web.dribbles:
                self.wfile.write(b"HTTP/1.1 200 ")
                while not web.stopped.wait(0.02):
                    self.wfile.write(b"x")
                return
            status, headers, said = web.answers.pop(0) if web.answers else (200, {}, b"thank you")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST  # noqa: N815 a redirect that is followed becomes a GET

        def log_message(self, *args: Any) -> None:
            """Tests say what they want to know."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # type: ignore[method-assign]
    web.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield web
    finally:
        web.stopped.set()
        server.shutdown()
        server.server_close()


@dataclass
class Post:
    port: int = 0
    letters: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    refuses: str = ""
    """What is answered to a recipient instead of 250."""
    dribbles: bytes = b""
    """At this word of the client (``HELO``: before it says any) it answers a byte at a time, and comes to no end."""
    connected: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)


class Mail(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs to hand over a letter."""

    server: MailServer

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        post = self.server.post
        post.connected += 1
        if post.dribbles == b"HELO":
            return self.dribble()
        self.say("220 test")
        to: list[str] = []
        for line in self.rfile:
            word = line[:4].upper()
            if word == post.dribbles:
                return self.dribble()
            if word == b"DATA":
                self.say("354 go on")
                post.letters.append((to, self.letter()))
                self.say("250 kept")
            elif word == b"RCPT":
                to.append(line.decode().split(":", 1)[1].strip(" <>\r\n"))
                self.say(post.refuses or "250 ok")
            else:
                self.say("221 bye" if word == b"QUIT" else "250 ok")
        return None

    def letter(self) -> EmailMessage:
        lines = iter(self.rfile.readline, b".\r\n")
        return message_from_bytes(b"".join(lines), policy=policy.default)  # type: ignore[return-value]

    def dribble(self) -> None:
        while not self.server.post.stopped.wait(0.02):
            self.wfile.write(b"2")


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.post = Post()
        super().__init__(("127.0.0.1", 0), Mail)
        self.post.port = self.server_address[1]

    def handle_error(self, *args: Any) -> None:
        """A client that hangs up is what some tests want."""


@contextlib.contextmanager
def mail_server() -> Iterator[Post]:
    server = MailServer()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.post
    finally:
        server.post.stopped.set()
        server.shutdown()
        server.server_close()

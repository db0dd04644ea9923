"""A signed-in visitor over HTTP and websocket, as a browser would be: for the demonstration and the benchmarks."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
PAUSE = 2.0
"""Seconds."""


class Visitor:
    """One person with cookies and a kept connection, which is made anew after a pause: the server has closed it then.

    :raises RuntimeError: the server answered with something else than expected.
    """

    def __init__(self, url: str, name: str, password: str) -> None:
        self.host = urlsplit(url).netloc
        self.cookies: dict[str, str] = {}
        self.asked = time.monotonic()
        self.http = http.client.HTTPConnection(self.host, timeout=60)
        page = self.get("/login/")
        token = CSRF.search(page)
        if token is None:
            raise RuntimeError("the login page has no form")
        self.request("POST", "/login/", {"username": name, "password": password, "csrfmiddlewaretoken": token[1]})
        if "sessionid" not in self.cookies:
            raise RuntimeError(f"{name} cannot sign in")

    def request(self, method: str, path: str, fields: dict[str, Any] | None = None) -> tuple[int, str]:
        """Return status and body. Fields are posted as a form; the answer may be JSON."""
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Accept": "application/json" if method == "POST" and "sessionid" in self.cookies else "text/html",
            "X-CSRFToken": self.cookies.get("csrftoken", ""),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if time.monotonic() - self.asked > PAUSE:
            self.http.close()
        self.http.request(method, path, urlencode(fields or {}, doseq=True) if fields is not None else None, headers)
        answer = self.http.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, rest = cookie.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        body = answer.read().decode()
        self.asked = time.monotonic()
        return answer.status, body

    def get(self, path: str) -> str:
        status, body = self.request("GET", path)
        if status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path} answered {status}: {body[:300]}")
        return body

    def post(self, path: str, **fields: Any) -> Any:
        """Post a form and return the JSON answer."""
        status, body = self.request("POST", path, fields)
        if status not in {http.HTTPStatus.OK, http.HTTPStatus.ACCEPTED}:
            raise RuntimeError(f"{path} answered {status}: {body[:500]}")
        return json.loads(body)

    def socket(self, path: str) -> ClientConnection:
        """Open a websocket with this visitor's session."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        origin = Origin(f"http://{self.host}")
        headers = {"Cookie": cookie}
        return connect(
            f"ws://{self.host}{path}", origin=origin, additional_headers=headers, compression=None, max_size=None
        )

    def clone(self, feed: ClientConnection, image: int, **fields: Any) -> float:
        """Ask for one disk of an image; return the seconds from the POST to READY seen on the feed.

        :raises RuntimeError: the job did not succeed.
        """
        started = time.monotonic()
        wanted = self.post(f"/images/{image}/disks/", count=1, **fields)["jobs"][0]["uuid"]
        news: dict[str, Any] = {}
        while not news:
            heard = json.loads(feed.recv(timeout=60))
            frames = heard if isinstance(heard, list) else [heard]
            news = next((each for each in frames if each.get("uuid") == wanted and each["ended"]), {})
        if news["state"] != "succeeded":
            raise RuntimeError(f"the clone {news['state']}: {news['error']}")
        return time.monotonic() - started

"""What a form asks for is done once, however often it is sent: a double click, the back button, a proxy, a second tab.

``{% csrf_token %}`` gives every form a key (``templatetags/sending.py``). Who sends a form first has the claim on what
it asks for; the claim remembers where its answer led, and whoever sends the same again is led there. It is the same
when the session, the address and the fields are the same, and either the key is, or the page was made before it was
asked for: a second tab. So somebody who goes back, changes a field and sends that is asking for something else, and so
is who sends it from another device.

When it was asked for is told by the clock of Redis, and when the page was made by that of the machine that made it. So
a page counts as made before only when it was so by more than clocks differ that are kept in time (NTP).

A page as the answer (200) says that nothing was done: the form has an error, or a name is to be typed. A view that has
done something answers with a redirect, with 202, or tells htmx where to go.
"""

from __future__ import annotations

import functools
import http
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.utils.crypto import salted_hmac
from redis.commands.core import Script
from redis.exceptions import RedisError

from datastores.jobs.submit import queue
from datastores.web.access import wants_json
from datastores.web.errors import came_from, can_be_read, page_above

logger = logging.getLogger(__name__)
FIELD = "once"
KEY = re.compile(r"\d{10}\.\d{3}\.[\w-]{22}", re.ASCII)
"""When the page was made, in seconds, and what nobody can guess."""
UNTOLD = {FIELD, "csrfmiddlewaretoken"}
"""Fields that say nothing of what is asked for."""
ONGOING_SECONDS = 120
"""How long a claim is kept whose process may have died."""
KEPT_SECONDS = 24 * 3600
TABS_SECONDS = 60
"""How long what was asked for counts for the other tabs of the session, too: they follow what happens since."""
CLOCKS_SECONDS = 2
"""By how much the clocks of the machines of web processes and of Redis may differ."""
WAIT_SECONDS = 5.0
AWAY_SECONDS = 5.0
"""How long Redis is not asked again after it did not answer: each time somebody would wait for it."""
LOOK_SECONDS = 0.05
ALREADY = "This was sent already, so it was not done again; what was done since stands. To do it, load its page again."
ONGOING = "This was sent already and is still being done; nothing is done twice."

TAKE = """
local time = redis.call("TIME")
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local old = redis.call("HMGET", KEYS[1], "key", "since", "led")
if old[1] then
  local since = tonumber(old[2])
  local tab = tonumber(ARGV[2]) < since - tonumber(ARGV[5]) and now - since < tonumber(ARGV[4])
  if old[1] == ARGV[1] or tab then return old[3] end
end
redis.call("HSET", KEYS[1], "key", ARGV[1], "since", string.format("%.3f", now), "led", "")
redis.call("EXPIRE", KEYS[1], ARGV[3])
return nil
"""
SETTLE = """
if redis.call("HGET", KEYS[1], "key") ~= ARGV[1] then return end
if ARGV[2] == "" then redis.call("DEL", KEYS[1]) return end
redis.call("HSET", KEYS[1], "led", ARGV[2])
redis.call("EXPIRE", KEYS[1], ARGV[3])
"""


def new_key() -> str:
    """Return the key of a form on a page that is made now."""
    return f"{time.time():.3f}.{secrets.token_urlsafe(16)}"


@functools.cache
def script(text: str) -> Script:
    return queue(settings.QUEUES[0]).connection.register_script(text)


class Here:
    """Claims kept in this process while Redis is away: then a form that is sent again to it is known all the same."""

    def __init__(self) -> None:
        self.claims: dict[str, tuple[str, float, str]] = {}
        self.lock = threading.Lock()

    def take(self, name: str, key: str) -> bytes | None:
        """Return what ``Claim.take`` does."""
        now, made = time.time(), float(key.rpartition(".")[0])
        with self.lock:
            self.claims = {each: known for each, known in self.claims.items() if now - known[1] < TABS_SECONDS}
            if name in self.claims and (self.claims[name][0] == key or made < self.claims[name][1]):
                return self.claims[name][2].encode()
            self.claims[name] = (key, now, "")
        return None

    def settle(self, name: str, key: str, led: str) -> None:
        with self.lock:
            _, since, _ = self.claims.pop(name, (key, time.time(), ""))
            if led:
                self.claims[name] = (key, since, led)


@dataclass(slots=True)
class Claim:
    """On what a form asks for. ``name``: of the session, the address and the fields; they cannot be told from it."""

    name: str
    key: str
    refused: bool = False
    """The view raised, so nothing was done."""
    here: bool = False
    """It is kept in this process."""

    def take(self) -> bytes | None:
        """Return None when it is ours now, b"" while somebody else's is under way, else where that led, as JSON."""
        made = self.key.rpartition(".")[0]
        seconds = (ONGOING_SECONDS, TABS_SECONDS, CLOCKS_SECONDS)
        led: bytes | None = script(TAKE)([self.name], [self.key, made, *seconds])
        return led

    def settle(self, led: dict[str, str]) -> None:
        """Remember where the answer led; nowhere: nothing was done, and the form may be sent again."""
        script(SETTLE)([self.name], [self.key, json.dumps(led) if led else "", KEPT_SECONDS])


def claim_of(request: HttpRequest) -> Claim | None:
    """Return the claim that a request makes; None when there is no key, as from a program."""
    key = request.POST.get(FIELD, "") if request.method == "POST" and request.user.is_authenticated else ""
    if not KEY.fullmatch(key):
        return None
    fields = [(name, values) for name, values in request.POST.lists() if name not in UNTOLD]
    files = [(name, file.name, file.size) for name, several in request.FILES.lists() for file in several]
    asked = json.dumps([request.session.session_key, request.get_full_path(), fields, files])
    return Claim(f"cloudstore:once:{salted_hmac(__name__, asked, algorithm='sha256').hexdigest()}", key)


class SentOnce:
    """Lets through what was not asked for before. Without Redis only what was sent to this process is known."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.away_until = 0.0
        self.kept = Here()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        claim: Claim | None = getattr(request, "claim", None)
        if claim:
            self.settle(claim, {} if claim.refused else led_to(request, response))
        return response

    def settle(self, claim: Claim, led: dict[str, str]) -> None:
        if claim.here:
            self.kept.settle(claim.name, claim.key, json.dumps(led) if led else "")
            return
        try:
            claim.settle(led)
        except RedisError as error:
            logger.warning("what was sent cannot be remembered: %s", error)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        """Claim it when the person is known and the token of the form is right."""
        claim = claim_of(request)
        if claim is None:
            return None
        led = patiently(partial(self.take, claim))
        if led is None:
            request.claim = claim  # type: ignore[attr-defined]
            return None
        return again(request, json.loads(led or "{}"))

    def take(self, claim: Claim) -> bytes | None:
        """Ask Redis, but for what was claimed here while it was away: it has never heard of that."""
        claim.here = False
        if claim.name not in self.kept.claims and time.monotonic() >= self.away_until:
            try:
                return claim.take()
            except RedisError as error:
                logger.warning("what is sent twice to different processes is carried out twice: %s", error)
                self.away_until = time.monotonic() + AWAY_SECONDS
        claim.here = True
        return self.kept.take(claim.name, claim.key)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Note that it was refused, before that is turned into an answer: this may be a redirect, too."""
        if claim := getattr(request, "claim", None):
            claim.refused = True


def patiently(take: Callable[[], bytes | None]) -> bytes | None:
    """Take a claim, waiting a while for the end of what is under way."""
    until = time.monotonic() + WAIT_SECONDS
    while (led := take()) == b"" and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    return led


def led_to(request: HttpRequest, response: HttpResponse) -> dict[str, str]:
    """Return the headers that say where an answer leads; none when nothing was done."""
    headers = {name: value for name, value in response.headers.items() if name == "Location" or name.startswith("HX-")}
    refused = response.status_code >= http.HTTPStatus.BAD_REQUEST
    if refused or (response.status_code == http.HTTPStatus.OK and not headers):
        return {}
    return headers or {"Location": request.get_full_path() if can_be_read(request.path) else page_above(request)}


def again(request: HttpRequest, led: dict[str, str]) -> HttpResponse:
    """Lead to where it led when it was sent first (nowhere: that is still under way)."""
    words = ALREADY if led else ONGOING
    if wants_json(request):
        return JsonResponse({"error": words}, status=http.HTTPStatus.CONFLICT)
    messages.info(request, words)
    if led and "Location" not in led:
        return HttpResponse(headers=led)
    return HttpResponseRedirect(led.get("Location") or came_from(request))

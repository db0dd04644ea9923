"""Deliver what people are to be told: a duty of the schedule.

What was told to a target within ``WINDOW`` becomes one message, with a count: a thousand failed clones are one mail.
From then on the message has an id that stays. It is claimed before it leaves; after a crash in between it is sent once
more, with the same id. What cannot be delivered is tried again with growing pauses, and given up after a day.
"""

from __future__ import annotations

import functools
import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from django.db import Error, connection, transaction
from django.db.models import Max, Min
from django.utils import timezone

from datastores.jobs.background import Background
from datastores.jobs.messengers import LONGEST, Address, Message, NotDelivered, send
from datastores.models import Delivery, Notice, NotificationTarget
from datastores.services import settings
from datastores.services.notifications import EVENTS

logger = logging.getLogger(__name__)
LOOK_SECONDS = 5.0
WINDOW = timedelta(seconds=10)
SHOWN = 20
"""So many of what was told are in the message; of the others it holds the number."""
AT_ONCE = 10
"""Messages to one target in one go."""
LANES = {"webhook": 8, "email": 4}
"""Targets of each kind to which messages are on their way at once. A slow mail server takes no turn of a webhook."""
ROUND = 4.0
"""Seconds for which a round waits for what it sends."""
CLAIM = timedelta(seconds=(AT_ONCE + 1) * LONGEST)
"""For so long nobody else sends what was claimed."""
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (30, 60, 120, 300, 600, 1800, 3600))
PATIENCE = timedelta(days=1)
KEPT = timedelta(days=30)
"""How long it is remembered what was sent."""

Found = tuple[Delivery, str | Exception]
"""A message, and what the other side said or why it did not take it."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Messages to one target that are claimed, to be sent one after the other. ``until``: when the claims run out."""

    target: int
    kind: str
    messages: list[tuple[Delivery, Address, Message]]
    until: float


under_way: dict[int, str] = {}
"""Targets to which this process is sending, with their kinds."""


@dataclass(slots=True)
class Coming:
    """How it goes with what was given to threads. ``lanes``: so many have not ended; each puts a None when it does."""

    found: SimpleQueue[Found | None]
    lanes: int

    def within(self, seconds: float) -> Iterator[Found]:
        """Yield how it went with each message as it comes, until all have ended, or for so long."""
        until = time.monotonic() + seconds
        while self.lanes:
            try:
                each = self.found.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                return
            if each is None:
                self.lanes -= 1
            else:
                yield each


def deliver() -> int:
    """Put together what was told, and send what is due; return how many messages were taken by now.

    Who is slow holds up nobody: what is still on its way after a moment is remembered beside the next rounds.
    """
    gather()
    give_up()
    lanes = claimed()
    coming = Coming(SimpleQueue(), len(lanes))
    for lane in lanes:
        under_way[lane.target] = lane.kind
        senders(lane.kind).give(partial(send_lane, lane, coming.found))
    try:
        return sum(remember(*each) for each in coming.within(ROUND))
    finally:
        if coming.lanes:
            latecomers().give(partial(remember_late, coming))


def remember_late(coming: Coming) -> None:
    """Store how it went with what took longer. One that never ends is left: its claim runs out."""
    try:
        for each in coming.within(CLAIM.total_seconds()):
            try:
                remember(*each)
            except Error:  # it stays claimed for a while, and is sent once more
                logger.warning("it could not be stored how telling %s went", each[0].target_id, exc_info=True)
                connection.close()
    finally:
        connection.close()
    if coming.lanes:
        logger.warning("a message has been on its way for %s; it is tried again", CLAIM)


@functools.cache
def senders(kind: str) -> Background:
    return Background(f"deliver-{kind}", LANES[kind])


@functools.cache
def latecomers() -> Background:
    return Background("delivered", sum(LANES.values()))


def gather() -> None:
    """Make a message of what each target was told of an event, once the first of it is old enough."""
    told = Notice.objects.order_by().values_list("target", "event")
    due = told.annotate(last=Max("pk"), first=Min("at")).filter(first__lte=timezone.now() - WINDOW).order_by("last")
    for target, event, last, _ in due:
        put_together(target, event, last)


def put_together(target: int, event: str, last: int) -> None:
    """Replace notices by a message. Another machine that does the same finds them gone, and leaves it."""
    with transaction.atomic():
        told = Notice.objects.select_for_update().filter(target=target, event=event, pk__lte=last)
        notices = list(told.order_by("pk"))
        if notices:  # just these: one that was written before them may be committed after them
            Notice.objects.filter(pk__in=[notice.pk for notice in notices]).delete()
            items = [notice.line() for notice in notices[:SHOWN]]
            Delivery.objects.create(target_id=target, event=event, count=len(notices), items=items)


def give_up() -> None:
    """Stop trying what could not be delivered for a day. The settings page says so."""
    late = Delivery.objects.filter(outcome=Delivery.Outcome.OPEN, created_at__lt=timezone.now() - PATIENCE)
    for delivery in late.select_related("target"):
        logger.warning("%s is not told of %s any more: %s", delivery.target, delivery.event, delivery.error)
        ended(delivery, Delivery.Outcome.GIVEN_UP)


def claimed() -> list[Lane]:
    """Return the messages that are due, by target, as far as threads are free; nobody else sends them for a while.

    A target to which messages are on their way waits for the end of that.
    """
    open_ = Delivery.objects.filter(outcome=Delivery.Outcome.OPEN, due_at__lte=timezone.now(), target__enabled=True)
    waiting = open_.order_by().values_list("target", "target__kind").annotate(first=Min("due_at")).order_by("first")
    free = Counter(LANES)
    free.subtract(list(under_way.values()))
    lanes = []
    for target, kind, _ in waiting:
        if target in under_way or free[kind] <= 0:
            continue
        until = time.monotonic() + CLAIM.total_seconds()
        mine = [each for each in open_.filter(target=target).select_related("target")[:AT_ONCE] if claim(each)]
        if mine:
            free[kind] -= 1
            messages = [(each, address_of(each.target), message_of(each)) for each in mine]
            lanes.append(Lane(target, kind, messages, until))
    return lanes


def claim(delivery: Delivery) -> bool:
    as_read = Delivery.objects.filter(pk=delivery.pk, due_at=delivery.due_at, outcome=Delivery.Outcome.OPEN)
    delivery.attempts += 1
    return bool(as_read.update(due_at=timezone.now() + CLAIM, attempts=delivery.attempts))


def send_lane(lane: Lane, found: SimpleQueue[Found | None]) -> None:
    """Send one message after the other; when one is not taken, the others are not tried. Knows no database.

    What cannot be sent before the claims run out is left to whoever claims it next.
    """
    failure: Exception | None = None
    try:
        for delivery, address, message in lane.messages:
            if time.monotonic() + LONGEST > lane.until:
                return
            try:
                found.put((delivery, failure or send(address, message)))
            except Exception as error:  # told by who waits for it
                failure = error
                found.put((delivery, error))
    finally:
        under_way.pop(lane.target, None)
        found.put(None)


def remember(delivery: Delivery, found: str | Exception) -> bool:
    """Store how it went. False: it was not taken."""
    if isinstance(found, str):
        ended(delivery, Delivery.Outcome.SENT, error="")
        return True
    if not isinstance(found, NotDelivered):
        logger.error("a defect in telling %s", delivery.target, exc_info=found)
    said = str(found) if isinstance(found, NotDelivered) else f"A defect in cloudstore: {type(found).__name__}."
    pause = PAUSES[min(delivery.attempts, len(PAUSES)) - 1]
    Delivery.objects.filter(pk=delivery.pk).update(error=said, due_at=timezone.now() + pause)
    return False


def ended(delivery: Delivery, outcome: Delivery.Outcome, **changes: Any) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(outcome=outcome, done_at=timezone.now(), **changes)


def forget_deliveries() -> int:
    """Delete what was delivered or given up long ago."""
    old = Delivery.objects.filter(done_at__lt=timezone.now() - KEPT)
    return old.delete()[0]


# What a message says


def address_of(target: NotificationTarget) -> Address:
    return Address(target.kind, target.address, target.secret)


def message_of(delivery: Delivery) -> Message:
    """Return the message; every attempt makes the same of the same row."""
    base, brand = settings.value("base_url"), settings.value("brand_name")
    items = [{**item, "url": f"{base}{item['url']}" if base and item["url"] else ""} for item in delivery.items]
    first = items[0]
    event = EVENTS.get(delivery.event, delivery.event)  # a former version may have told of others
    subject = first["subject"] if delivery.count == 1 else f"{delivery.count:,} times: {event}"
    lines = ["\n".join(filter(None, (each["subject"], each["text"], each["url"]))) for each in items]
    if delivery.count > len(items):
        lines.append(f"And {delivery.count - len(items):,} more.")
    payload = {
        "id": str(delivery.uuid), "event": delivery.event, "installation": brand, "subject": subject,
        "text": first["text"] if delivery.count == 1 else "", "url": first["url"] if delivery.count == 1 else "",
        "key": first["key"] if delivery.count == 1 else "", "count": delivery.count, "items": items,
        "at": delivery.created_at.isoformat(timespec="seconds"),
    }  # fmt: skip
    return Message(str(delivery.uuid), delivery.event, f"[{brand}] {subject}", "\n\n".join(lines) + "\n", payload)


def try_out(target: NotificationTarget) -> str:
    """Send a message that says that it is a test; return what the other side said.

    :raises NotDelivered: it did not take it.
    """
    item = {"subject": "This is a test.", "text": "Somebody pressed the button on the settings page.",
            "url": "/settings/", "key": "", "at": timezone.now().isoformat(timespec="seconds")}  # fmt: skip
    trial = Delivery(uuid=uuid.uuid4(), target=target, event="test", items=[item])
    return send(address_of(target), message_of(trial))

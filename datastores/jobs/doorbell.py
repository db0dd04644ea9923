"""Tell browsers that there is something to read. Never the thing itself, and never in a job's way."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Iterable
from typing import Any

from channels.layers import get_channel_layer

from datastores.models import Job

logger = logging.getLogger(__name__)
FEED = "feed"


@functools.lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    """Return this process's loop for outgoing messages, so that the connection to Redis stays open."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="doorbell", daemon=True).start()
    return loop


async def _send(group: str, message: dict[str, Any]) -> None:
    try:
        await get_channel_layer().group_send(group, message)
    except Exception:  # browsers ask by themselves every few seconds; a job must not fail for a bell
        logger.warning("the doorbell of %s could not be rung", group, exc_info=True)


def ring(group: str, message: dict[str, Any]) -> None:
    """Send without waiting. The message may be lost: it is a doorbell, never the parcel."""
    asyncio.run_coroutine_threadsafe(_send(group, message), _loop())


def rehearse() -> None:
    """Ring where nobody is, so that the connection is open when it matters."""
    ring("rehearsal", {"type": "rehearsal"})


def group_of(job_uuid: object) -> str:
    return f"job.{job_uuid}"


def ring_log(job: Job, seq: int) -> None:
    """There are log entries up to ``seq``."""
    ring(group_of(job.uuid), {"type": "job.events", "seq": seq})


def ring_states(jobs: Iterable[Job]) -> None:
    for job in jobs:
        ring_state(job)


def ring_state(job: Job) -> None:
    """The job's state, or that of its objects, is another one."""
    ring(FEED, {"type": "feed.job", "uuid": str(job.uuid)})
    ring(group_of(job.uuid), {"type": "job.events", "seq": 0})

"""Whether Redis answers is asked once for all pages."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import RedisError

from datastores.jobs import watching
from datastores.jobs.watching import Pulse


@pytest.mark.parametrize("well", [True, False])
def test_it_is_asked_every_few_seconds_however_many_want_to_know(monkeypatch: pytest.MonkeyPatch, well: bool) -> None:
    asked: list[int] = []

    class Server:
        def ping(self) -> Any:
            asked.append(1)
            if not well:
                raise RedisError("silent")
            return True

    monkeypatch.setattr(watching, "impatient", Server)
    pulse = Pulse()
    assert [pulse.answers() for _ in range(50)] == [well] * 50
    assert len(asked) == 1
    monkeypatch.setattr(watching, "FRESH", 0.0)
    another = Pulse()
    assert [another.answers() for _ in range(3)] == [well] * 3
    assert len(asked) == 4

"""Bytes become text in whole lines, whatever pieces they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.transport.stream import LINE_MAX, Lines

TEXT = st.text(st.sampled_from("ab\n\r é€𝄞"), max_size=60)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(TEXT, st.lists(st.integers(0, 999)))
def test_nothing_is_lost_or_doubled_and_pieces_end_with_a_line(text: str, places: list[int]) -> None:
    pieces: list[str] = []
    lines = Lines(pieces.append)
    for data in cut(text.encode(), places):
        lines.feed(data)
    before_end = list(pieces)
    lines.end()
    assert "".join(pieces) == text
    assert all(piece.endswith(("\n", "\r")) for piece in before_end)


def test_what_is_not_utf8_is_replaced() -> None:
    pieces: list[str] = []
    lines = Lines(pieces.append)
    lines.feed(b"a\xffb\n\xe2\x82")
    lines.end()
    assert pieces == ["a\ufffdb\n", "\ufffd"]


def test_a_line_without_end_is_passed_on_all_the_same() -> None:
    pieces: list[str] = []
    lines = Lines(pieces.append)
    for _ in range(5):
        lines.feed(b"x" * (LINE_MAX // 2))
    assert sum(map(len, pieces)) >= LINE_MAX


def test_half_a_line_is_passed_on_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pieces: list[str] = []
    lines = Lines(pieces.append)
    lines.feed(b"Continue? ")
    lines.idle()
    assert not pieces
    now[0] += 2
    lines.idle()
    assert pieces == ["Continue? "]

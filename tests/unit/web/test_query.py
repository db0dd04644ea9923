"""What is typed over a list, and what it says when it cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.db.models import F, Q

from datastores.web.lists.fields import Choice, Flag, Moment, Number, Size, Text
from datastores.web.lists.query import LONGEST, BadQuery, condition, quoted

FIELDS: dict[str, Any] = {
    "name": Text(("name",), "name:gold"),
    "tm": Choice("kind", {"qcow2": "qcow2", "shared": "shared"}, "tm:qcow2"),
    "free": Size("free", "free<20%", whole="total"),
    "persistent": Flag("persistent", "persistent:yes"),
    "disks": Number("disk_count", "disks>3", int),
    "since": Moment("created_at", "since<3d"),
}
ANYWHERE = Text(("name", "owner__username"), "gold")
GIB = 1 << 30


def anywhere(word: str) -> Q:
    return Q(name__icontains=word) | Q(owner__username__icontains=word)


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("", Q()),
        ("  gold ", anywhere("gold")),
        ("two words", anywhere("two") & anywhere("words")),
        ('"two words"', anywhere("two words")),
        (r'"say \"x\" \\"', anywhere('say "x" \\')),
        ('"free<20%"', anywhere("free<20%")),
        ("52:54:00:aa:bb", anywhere("52:54:00:aa:bb")),
        ("foo-bar", anywhere("foo-bar")),
        ("-gold", ~anywhere("gold")),
        ("name:gold", Q(name__icontains="gold")),
        ("NAME:gold", Q(name__icontains="gold")),
        ("name=gold", Q(name__iexact="gold")),
        ("name!=gold", ~Q(name__iexact="gold")),
        ("-name!=gold", Q(name__iexact="gold")),
        ("name:10.0.0.1:22", Q(name__icontains="10.0.0.1:22")),
        ("name:-x", Q(name__icontains="-x")),
        ("tm:qcow2,shared", Q(kind="qcow2") | Q(kind="shared")),
        ("tm : qcow2 , shared gold", (Q(kind="qcow2") | Q(kind="shared")) & anywhere("gold")),
        ("-tm:qcow2,shared", ~(Q(kind="qcow2") | Q(kind="shared"))),
        ("free<20%", Q(free__lt=F("total") * 20.0 / 100.0) & Q(total__gt=0)),
        ("free >= 1.5GiB", Q(free__gte=3 * GIB // 2)),
        ("persistent:no", Q(persistent=False)),
        ("disks<=3 disks>1", Q(disk_count__lte=3) & Q(disk_count__gt=1)),
    ],
)
def test_means(typed: str, means: Q) -> None:
    assert condition(typed, FIELDS, ANYWHERE) == means


@time_machine.travel(datetime(2026, 11, 3, 12, tzinfo=UTC), tick=False)
@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("since<3d", Q(created_at__gt=datetime(2026, 10, 31, 12, tzinfo=UTC))),
        ("since>=2h", Q(created_at__lte=datetime(2026, 11, 3, 10, tzinfo=UTC))),
        (
            "since:today",
            Q(created_at__gte=datetime(2026, 11, 3, tzinfo=UTC), created_at__lt=datetime(2026, 11, 4, tzinfo=UTC)),
        ),
        ("since>2026-11-01", Q(created_at__gte=datetime(2026, 11, 2, tzinfo=UTC))),
        ("since<2026-11-01", Q(created_at__lt=datetime(2026, 11, 1, tzinfo=UTC))),
        ("since<=2026-11-01", Q(created_at__lt=datetime(2026, 11, 2, tzinfo=UTC))),
        ("since>=2026-11-01", Q(created_at__gte=datetime(2026, 11, 1, tzinfo=UTC))),
    ],
)  # fmt: skip
def test_means_of_time(typed: str, means: Q, settings: Any) -> None:
    settings.TIME_ZONE = "UTC"
    assert condition(typed, FIELDS, ANYWHERE) == means


@pytest.mark.parametrize(
    ("typed", "at", "message"),
    [
        ("gold nam:x", 5, "There is no field nam. Did you mean name?"),
        ("zzz:x", 0, "There is no field zzz. There are disks, free, name"),
        ('gold "two', 5, "This quotation has no end."),
        ("name:", 5, "A value is missing at the end."),
        ("name: tm:qcow2,", 15, "A value is missing at the end."),
        (",x", 0, "This is not expected here."),
        ("tm:qcow2 tm:lvm", 12, "lvm is none of qcow2, shared."),
        ("tm:qcow2,lvm", 9, "lvm is none of"),
        ("tm<qcow2", 3, "not larger or smaller"),
        ("free<20x", 5, "A size is a number"),
        ("free<x%", 5, "x% is not a share"),
        ("persistent:maybe", 11, "neither yes nor no"),
        ("disks>many", 6, "many is not a number"),
        ("disks>1e999", 6, "not a number"),
        ("since:3d", 6, "How long ago is written with < or >"),
        ("since<2026-02-31", 6, "neither an age"),
        ("since<9999999d", 6, "neither an age"),
        ("since<999999w", 6, "too long ago"),
        ("since<9999-12-31", 6, "too far"),
        ("a\0b", 1, "zero byte"),
        ("x" * (LONGEST + 1), LONGEST, "at most"),
        ("x " * 21, 40, "at most 20 terms"),
    ],
)
def test_says_what_it_cannot_read_and_where(typed: str, at: int, message: str) -> None:
    with pytest.raises(BadQuery) as refused:
        condition(typed, FIELDS, ANYWHERE)
    assert message in str(refused.value)
    assert refused.value.at == at


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("foo:bar state:ready", "foo:bar"),
        ('-foo:"a b" state:ready', 'foo:"a b"'),
        ("free<20x state:ready", "20x"),
        ("x " * 22, "x x "),
        ('a "b c', '"b c'),
        ("state:", ""),
    ],
)
def test_marks_only_what_is_wrong(typed: str, wrong: str) -> None:
    with pytest.raises(BadQuery) as refused:
        condition(typed, FIELDS, ANYWHERE)
    found = refused.value
    assert (found.wrong, found.before + found.wrong + found.after) == (wrong, typed)


@pytest.mark.parametrize("text", ["gold", "two words", 'a "b"', "c:\\d", "-x", 'e\\"', "x<20%,y"])
def test_what_is_quoted_is_taken_as_it_is(text: str) -> None:
    assert condition(f"name={quoted(text)}", FIELDS, ANYWHERE) == Q(name__iexact=text)
    assert condition(quoted(text), FIELDS, ANYWHERE) == anywhere(text)

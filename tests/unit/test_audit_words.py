"""The index of the words of the audit trail: it finds what reading all entries finds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from datastores.models import AuditEntry, User, audit_words
from datastores.models.audit import record
from tests.unit.conftest import person, signed_in, text_of

pytestmark = pytest.mark.django_db
WORDS = (
    "gold", "GOLD", "old", "go", "g", "50%", "0%", "_", "a_b", "axb", 'say "x"', "\\", "it's", "olga", "10.9.0.7",
    "image.rename", "Grün", "grün", "nowhere", "renamed", "; DROP TABLE x; --", "OR", "a*", "NEAR(a b)", "ä",
)  # fmt: skip
TARGETS = ("gold", "Marigold 50%", "a_b", "axb", 'say "x"', "c:\\d", "it's", "Grün", "NEAR(a b)", "NULL")


@pytest.fixture
def entries() -> None:
    olga = person("olga", User.Role.OPERATOR)
    for number, target in enumerate(TARGETS):
        record("image.rename", user=olga, address=f"10.9.0.{number}", target=target, before="a", after="b")


@pytest.fixture
def indexed(entries: None) -> Iterator[None]:
    """The index that every installation has, and that tests take away."""
    audit_words.install(connection)
    audit_words.is_there.cache_clear()
    assert audit_words.is_there(connection.vendor)
    yield
    audit_words.is_there.cache_clear()


def found(word: str) -> list[int]:
    query = audit_words.holding([word])
    assert query is not None, word
    return sorted(AuditEntry.objects.filter(query).values_list("seq", flat=True))


@pytest.mark.parametrize("word", [word for word in WORDS if len(word) >= audit_words.SHORTEST])
def test_finds_what_reading_finds(indexed: None, word: str) -> None:
    read = [entry.seq for entry in AuditEntry.objects.order_by("seq") if word.lower() in said(entry).lower()]
    assert found(word) == read


def said(entry: AuditEntry) -> str:
    return " ".join((entry.actor_name, entry.action, entry.target, entry.address))


def test_an_entry_is_found_as_soon_as_it_is_written(indexed: None) -> None:
    entry = record("vm.delete", user=None, target="web-77")
    assert found("web-77") == [entry.seq]
    assert found("WEB-7") == [entry.seq]


@pytest.mark.parametrize("word", ["g", "go", ""])
def test_what_is_shorter_than_a_trigram_is_read(indexed: None, word: str) -> None:
    assert audit_words.holding([word]) is None


def test_what_is_common_is_read(indexed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_words, "COMMON", 9)
    assert audit_words.holding(["olga"]) is None
    assert audit_words.holding(["gold"]) is not None


@pytest.mark.parametrize("with_index", [True, False])
def test_the_page_shows_the_same_with_and_without(
    entries: None, admin: User, request: pytest.FixtureRequest, with_index: bool
) -> None:
    if with_index:
        request.getfixturevalue("indexed")
    client = signed_in(admin)
    for words, shown in (("gold", 2), ("-gold", 8), ("gold marigold", 1), ('"say \\"x\\""', 1), ("renamed", 10)):
        page = text_of(client.get("/audit/", {"q": words}))
        assert page.count("renamed the image") == shown, words


def test_a_tenant_finds_his_own_only(indexed: None, alice: User) -> None:
    record("vm.create", user=alice, target="gold-of-alice")
    page = text_of(signed_in(alice).get("/audit/?q=gold"))
    assert "gold-of-alice" in page and "Marigold" not in page


def test_a_database_that_cannot_do_it_does_without(entries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_SQLITE", "_POSTGRESQL"):
        monkeypatch.setattr(audit_words, name, ("CREATE NONSENSE",))
    audit_words.is_there.cache_clear()
    audit_words.install(connection)
    assert audit_words.holding(["gold"]) is None
    assert AuditEntry.objects.count() == len(TARGETS)
    audit_words.is_there.cache_clear()

"""The indexes of words: they find what reading all rows finds."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest
from django.db import connection
from django.test import Client

from datastores.models import AuditEntry, Image, User, words
from datastores.models.audit import record
from tests.unit.conftest import a_job, an_image, person, signed_in, text_of

pytestmark = pytest.mark.django_db
sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL asks its indexes by itself")
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
    for index in words.ALL:
        index.install(connection)
    words.is_there.cache_clear()
    yield
    words.is_there.cache_clear()


def found(word: str) -> list[int]:
    query = words.AUDIT.holding([word])
    assert query is not None, word
    return sorted(AuditEntry.objects.filter(query).values_list("seq", flat=True))


def parts(index: words.Words) -> set[str]:
    return {index.name, *(index.triggers if connection.vendor == "sqlite" else ())}


@pytest.mark.parametrize("index", words.ALL, ids=lambda index: index.table)
def test_every_installation_has_the_index_after_its_migrations(django_db_setup: set[str], index: words.Words) -> None:
    """A migration that makes the table anew ends with installing it."""
    assert parts(index) <= django_db_setup


@pytest.mark.parametrize("index", words.ALL, ids=lambda index: index.table)
def test_migrations_make_the_index_that_is_asked(index: words.Words) -> None:
    """Theirs has the names of its day: who changes the parts writes a migration."""
    first, drift = import_module("migrations.0019_words"), import_module("migrations.0021_drift_words")
    assert index in {*first.NEW, drift.DRIFT}


@pytest.mark.parametrize("index", words.ALL, ids=lambda index: index.table)
def test_an_index_that_is_installed_is_known(indexed: None, index: words.Words) -> None:
    if connection.vendor == "sqlite":
        assert words.is_there(index, connection.vendor)
    else:
        with connection.cursor() as cursor:
            assert index.name in connection.introspection.get_constraints(cursor, index.table)


@sqlite
@pytest.mark.parametrize("word", [word for word in WORDS if len(word) >= words.SHORTEST])
def test_finds_what_reading_finds(indexed: None, word: str) -> None:
    read = [entry.seq for entry in AuditEntry.objects.order_by("seq") if word.lower() in said(entry).lower()]
    assert found(word) == read


def said(entry: AuditEntry) -> str:
    return " ".join((entry.actor_name, entry.action, entry.target, entry.address))


@sqlite
def test_an_entry_is_found_as_soon_as_it_is_written(indexed: None) -> None:
    entry = record("vm.delete", user=None, target="web-77")
    assert found("web-77") == [entry.seq]
    assert found("WEB-7") == [entry.seq]


@pytest.mark.parametrize("word", ["g", "go", ""])
def test_what_is_shorter_than_a_trigram_is_read(indexed: None, word: str) -> None:
    assert words.AUDIT.holding([word]) is None


@sqlite
def test_what_is_common_is_read(indexed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "COMMON", 9)
    assert words.AUDIT.holding(["olga"]) is None
    assert words.AUDIT.holding(["gold"]) is not None


def names_found(client: Client, query: str) -> set[str]:
    page = text_of(client.get("/images/", {"q": query}))
    return {image.name for image in Image.objects.all() if image.name in page}


def test_an_image_is_found_by_what_it_is_called_now(indexed: None, admin: User) -> None:
    client, image = signed_in(admin), an_image(admin, "golden-web")
    an_image(admin, "other")
    assert names_found(client, "golden") == {"golden-web"}
    Image.objects.filter(pk=image.pk).update(name="silver-web")
    assert names_found(client, "golden") == set()
    assert names_found(client, "silver") == names_found(client, "name:silver") == {"silver-web"}
    image.delete()
    assert names_found(client, "silver") == set()
    an_image(admin, "silver-again")
    assert names_found(client, "silver") == {"silver-again"}


@pytest.mark.parametrize("query", ["clone the", "job:clone", "about:web-7", "by:root"])
def test_a_job_is_found_by_each_of_its_words(indexed: None, admin: User, query: str) -> None:
    a_job(admin, title="Clone the master", target_label="web-7", kind="disk.create", user_label="root")
    a_job(admin, title="Other", target_label="x", kind="image.checksum", user_label="y")
    page = text_of(signed_in(admin).get("/jobs/", {"q": query.replace("clone the", '"clone the"')}))
    assert "Clone the master" in page and "Other" not in page


def test_words_of_two_columns_are_no_words_of_one(indexed: None, admin: User) -> None:
    a_job(admin, title="Clone", target_label="web")
    page = text_of(signed_in(admin).get("/jobs/", {"q": '"clone web"'}))
    assert "data-row=" not in page


@sqlite
def test_an_index_that_does_not_learn_is_not_asked(indexed: None, admin: User) -> None:
    """A migration that makes a table anew drops its triggers."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {words.IMAGES.triggers[1]}")
    words.is_there.cache_clear()
    an_image(admin, "golden-web")
    assert words.IMAGES.holding(["golden"]) is None
    assert names_found(signed_in(admin), "golden") == {"golden-web"}
    words.IMAGES.install(connection)
    words.is_there.cache_clear()
    assert words.IMAGES.holding(["golden"]) is not None


@pytest.mark.parametrize("with_index", [True, False])
def test_the_page_shows_the_same_with_and_without(
    entries: None, admin: User, request: pytest.FixtureRequest, with_index: bool
) -> None:
    if with_index:
        request.getfixturevalue("indexed")
    client = signed_in(admin)
    for typed, shown in (("gold", 2), ("-gold", 8), ("gold marigold", 1), ('"say \\"x\\""', 1), ("renamed", 10)):
        page = text_of(client.get("/audit/", {"q": typed}))
        assert page.count("renamed the image") == shown, typed


def test_a_tenant_finds_his_own_only(indexed: None, alice: User) -> None:
    record("vm.create", user=alice, target="gold-of-alice")
    page = text_of(signed_in(alice).get("/audit/?q=gold"))
    assert "gold-of-alice" in page and "Marigold" not in page


def test_a_database_that_cannot_do_it_does_without(entries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sqlite", "postgresql"):
        monkeypatch.setattr(words.Words, name, lambda _: ("CREATE NONSENSE",))
    words.is_there.cache_clear()
    words.AUDIT.install(connection)
    assert words.AUDIT.holding(["gold"]) is None
    assert AuditEntry.objects.count() == len(TARGETS)
    words.is_there.cache_clear()

"""The words of the audit trail: an index of trigrams, so that a rare word among a million entries is found at once.

SQLite keeps it in a table of its own (FTS5), filled by a trigger; PostgreSQL in an index (pg_trgm). Where the database
can do neither, entries are read one by one.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Sequence

from django.db import DatabaseError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.db.models.expressions import RawSQL

from datastores.models.audit_guard import TABLE

logger = logging.getLogger(__name__)
WORDS = "datastores_auditwords"
SHORTEST = 3
"""Letters of a trigram: shorter text is in no index."""
COMMON = 20_000
"""What is in so many entries is found soon by reading them, the newest first; to list their keys would take longer."""
PARTS = ("actor_name", "action", "target", "address")


def _together(prefix: str = "") -> str:
    return " || ' ' || ".join(f"{prefix}{part}" for part in PARTS)


_SQLITE = (
    f"CREATE VIRTUAL TABLE {WORDS} USING fts5(text, content='', columnsize=0, tokenize='trigram')",
    f"CREATE TRIGGER audit_words AFTER INSERT ON {TABLE} "  # noqa: S608 constants
    f"BEGIN INSERT INTO {WORDS}(rowid, text) VALUES (NEW.seq, {_together('NEW.')}); END",
    f"INSERT INTO {WORDS}(rowid, text) SELECT seq, {_together()} FROM {TABLE}",  # noqa: S608 constants
)
_POSTGRESQL = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    f"CREATE INDEX {WORDS} ON {TABLE} USING gin (upper({_together()}) gin_trgm_ops)",
)
_THERE = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE name = %s",
    "postgresql": "SELECT 1 FROM pg_indexes WHERE indexname = %s",
}


def install(connection: BaseDatabaseWrapper) -> None:
    """Make the index, and fill it with what there is; where the database cannot, say so and do without."""
    try:
        with transaction.atomic(connection.alias), connection.cursor() as cursor:
            for statement in _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE:
                cursor.execute(statement)
    except DatabaseError as error:
        logger.warning("the audit trail is searched without an index: %s", error)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Take the index away."""
    statements = [f"DROP INDEX IF EXISTS {WORDS}"]
    if connection.vendor == "sqlite":
        statements = ["DROP TRIGGER IF EXISTS audit_words", f"DROP TABLE IF EXISTS {WORDS}"]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@functools.cache
def is_there(vendor: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_THERE[vendor], [WORDS])
        return cursor.fetchone() is not None


def holding(texts: Sequence[str]) -> Q | None:
    """Return what finds the entries that say one of the texts anywhere; None: to read them is the quicker way."""
    if min(map(len, texts)) < SHORTEST or not is_there(connection.vendor):
        return None
    keys, patterns = _keys_sqlite(texts) if connection.vendor == "sqlite" else _keys_postgresql(texts)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({keys} LIMIT {COMMON + 1}) AS found", patterns)  # noqa: S608 constants
        if cursor.fetchone()[0] > COMMON:
            return None
    return Q(pk__in=RawSQL(keys, patterns))  # noqa: S611 the texts are parameters


def _keys_sqlite(texts: Sequence[str]) -> tuple[str, list[str]]:
    """Return the statement that finds the keys, and its parameters."""
    phrases = " OR ".join('"{}"'.format(text.replace('"', '""')) for text in texts)
    return f"SELECT rowid FROM {WORDS} WHERE {WORDS} MATCH %s", [phrases]  # noqa: S608 constants


def _keys_postgresql(texts: Sequence[str]) -> tuple[str, list[str]]:
    likes = " OR ".join([f"upper({_together()}) LIKE %s"] * len(texts))
    escaped = (re.sub(r"([\\%_])", r"\\\1", text.upper()) for text in texts)
    return f"SELECT seq FROM {TABLE} WHERE {likes}", [f"%{text}%" for text in escaped]  # noqa: S608 constants

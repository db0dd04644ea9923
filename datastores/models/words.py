"""The words of the tables that grow large: indexes of trigrams, so that a rare word among a million rows is found at
once.

PostgreSQL keeps one for each table (pg_trgm), and sees by itself when it is of use. SQLite keeps one in a table of its
own (FTS5) that triggers fill and that has to be asked. Where the database can do neither, rows are
read one by one. On SQLite, a migration that makes a table anew drops its triggers: it has to end with ``install``.
Until then no wrong row is found, because an index without its triggers is not asked. Migrations hold names and parts
of their own: what is called otherwise one day is still made as it was then.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.db.models.expressions import RawSQL

from datastores.models.audit_guard import TABLE as AUDIT_TABLE

logger = logging.getLogger(__name__)
SHORTEST = 3
"""Letters of a trigram: shorter text is in no index."""
COMMON = 10_000
"""What is in so many rows is found soon by reading them, the newest first; to list their keys would take longer."""


@dataclass(frozen=True, slots=True)
class Words:
    """The index of a table. ``key``: its primary key; ``parts``: the columns whose words are in the index."""

    name: str
    table: str
    key: str
    parts: tuple[str, ...]
    fixed: bool = False
    """Its rows are never changed or deleted."""

    def install(self, connection: BaseDatabaseWrapper) -> None:
        """Make the index, and fill it with what there is; where the database cannot, say so and do without."""
        self.remove(connection)
        try:
            with transaction.atomic(connection.alias), connection.cursor() as cursor:
                for statement in self.postgresql() if connection.vendor == "postgresql" else self.sqlite():
                    cursor.execute(statement)
        except DatabaseError as error:
            logger.warning("%s is searched without an index: %s", self.table, error)

    def remove(self, connection: BaseDatabaseWrapper) -> None:
        """Take the index away."""
        statements = [f"DROP INDEX IF EXISTS {self.name}"]
        if connection.vendor == "sqlite":
            statements = [f"DROP TRIGGER IF EXISTS {trigger}" for trigger in self.triggers]
            statements.append(f"DROP TABLE IF EXISTS {self.name}")
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    @property
    def triggers(self) -> tuple[str, ...]:
        events = ("insert",) if self.fixed else ("insert", "delete", "update")
        return tuple(f"{self.name}_{event}" for event in events)

    def holding(self, texts: Sequence[str]) -> Q | None:
        """Return what narrows the rows to those that say one of the texts in one of the parts, or across two of them.

        None: the database needs no such help, or reading the rows is the quicker way.
        """
        if min(map(len, texts)) < SHORTEST or not is_there(self, connection.vendor):
            return None
        keys = f"SELECT rowid FROM {self.name} WHERE {self.name} MATCH %s"  # noqa: S608 constants
        phrases = " OR ".join('"{}"'.format(text.replace('"', '""')) for text in texts)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({keys} LIMIT {COMMON + 1})", [phrases])  # noqa: S608 constants
            if cursor.fetchone()[0] > COMMON:
                return None
        return Q(pk__in=RawSQL(keys, [phrases]))  # noqa: S611 the texts are parameters

    def together(self, prefix: str = "") -> str:
        return " || ' ' || ".join(f"{prefix}{part}" for part in self.parts)

    def postgresql(self) -> Iterator[str]:
        yield "CREATE EXTENSION IF NOT EXISTS pg_trgm"
        asked = ", ".join(f"upper({part}) gin_trgm_ops" for part in self.parts)  # the expression of "icontains"
        # each writes what it adds: else one of them has to write for all, and somebody waits for that one
        yield f"CREATE INDEX {self.name} ON {self.table} USING gin ({asked}) WITH (fastupdate = off)"

    def sqlite(self) -> Iterator[str]:
        old, new = (f"{row}.{self.key}, {self.together(f'{row}.')}" for row in ("OLD", "NEW"))
        forget = f"INSERT INTO {self.name}({self.name}, rowid, text) VALUES ('delete', {old});"  # noqa: S608 constants
        learn = f"INSERT INTO {self.name}(rowid, text) VALUES ({new});"  # noqa: S608 constants
        changed = f"WHEN ({self.together('OLD.')}) IS NOT ({self.together('NEW.')})"
        bodies = {
            "insert": f"AFTER INSERT ON {self.table} BEGIN {learn} END",
            "delete": f"AFTER DELETE ON {self.table} BEGIN {forget} END",
            "update": f"AFTER UPDATE OF {', '.join(self.parts)} ON {self.table} {changed} BEGIN {forget} {learn} END",
        }
        yield f"CREATE VIRTUAL TABLE {self.name} USING fts5(text, content='', columnsize=0, tokenize='trigram')"
        for trigger in self.triggers:
            yield f"CREATE TRIGGER {trigger} {bodies[trigger.rpartition('_')[2]]}"
        yield f"INSERT INTO {self.name}(rowid, text) SELECT {self.key}, {self.together()} FROM {self.table}"  # noqa: S608


@functools.cache
def is_there(words: Words, vendor: str) -> bool:
    """Tell whether there is an index to be asked, and triggers that tell it what changes."""
    if vendor != "sqlite":
        return False
    wanted = [words.name, *words.triggers]
    places = ", ".join(["%s"] * len(wanted))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM sqlite_master WHERE name IN ({places})", wanted)  # noqa: S608 constants
        return bool(cursor.fetchone()[0] == len(wanted))


AUDIT = Words(
    "datastores_auditwords", AUDIT_TABLE, "seq", ("actor_name", "action", "target", "address"), fixed=True
)  # fmt: skip
IMAGES = Words("datastores_imagewords", "datastores_image", "id", ("name", "source"))
JOBS = Words("datastores_jobwords", "datastores_job", "id", ("title", "target_label"))
DRIFT = Words("datastores_driftwords", "datastores_drift", "id", ("title", "label"))
ALL = (AUDIT, IMAGES, JOBS, DRIFT)

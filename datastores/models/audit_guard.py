"""Triggers that keep the audit trail append-only, whoever speaks to the database."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "datastores_auditentry"
REASON = "the audit trail is append-only"

_SQLITE = {
    event: f"CREATE TRIGGER audit_no_{event} BEFORE {event} ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REASON}'); END"
    for event in ("UPDATE", "DELETE")
}
# INSERT OR REPLACE takes away what is in its place, and no trigger of DELETE is told
_SQLITE["INSERT"] = (
    f"CREATE TRIGGER audit_no_INSERT BEFORE INSERT ON {TABLE} "  # noqa: S608 constants
    f"WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE seq = NEW.seq OR rowid = NEW.rowid) "
    f"BEGIN SELECT RAISE(ABORT, '{REASON}'); END"
)
_POSTGRESQL = (
    "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{REASON}'; END $$",
    f"CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()",
)


def install(connection: BaseDatabaseWrapper) -> None:
    """Make the database refuse UPDATE and DELETE (and TRUNCATE on PostgreSQL), and INSERT in the place of an entry.

    On PostgreSQL the last needs no trigger of its own: ON CONFLICT DO UPDATE is an UPDATE there.
    """
    remove(connection)
    statements = _POSTGRESQL if connection.vendor == "postgresql" else tuple(_SQLITE.values())
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Take the triggers away: for taking back the migration, and for tests that empty all tables."""
    if connection.vendor == "postgresql":
        statements = [f"DROP TRIGGER IF EXISTS audit_append_only ON {TABLE}"]
    else:
        statements = [f"DROP TRIGGER IF EXISTS audit_no_{event}" for event in _SQLITE]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)

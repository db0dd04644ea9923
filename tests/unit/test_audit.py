"""The audit trail is append-only and shows when somebody altered it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from datastores.domain.states import JobState
from datastores.models import AuditEntry, User, audit_guard
from datastores.models.audit import record, verify
from tests.unit.conftest import a_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def guarded() -> Iterator[None]:
    """The triggers that every installation has, and that tests take away."""
    audit_guard.install(connection)
    yield
    audit_guard.remove(connection)


@pytest.fixture
def entries() -> list[AuditEntry]:
    user = User.objects.create(username="olga", role=User.Role.OPERATOR)
    return [record("image.rename", user=user, target=f"image {n}", before="a", after="b") for n in range(3)]


def test_entries_are_numbered_and_each_follows_the_one_before(entries: list[AuditEntry]) -> None:
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert entries[2].previous == entries[1].seal
    assert verify() == (3, [])


@pytest.mark.parametrize("change", [{"actor_name": "nobody"}, {"detail": {}}, {"result": "failed"}])
def test_an_altered_entry_is_found(entries: list[AuditEntry], change: dict[str, object]) -> None:
    AuditEntry.objects.filter(seq=2).update(**change)
    assert verify() == (2, ["entry 2 was altered"])


def test_a_missing_entry_is_found(entries: list[AuditEntry]) -> None:
    AuditEntry.objects.filter(seq=2).delete()
    sound, wrong = verify()
    assert "entries 2 to 2 are missing" in wrong
    assert sound == 1


def test_the_command_fails_when_the_chain_is_broken(entries: list[AuditEntry]) -> None:
    call_command("audit", "verify", verbosity=0)
    AuditEntry.objects.filter(seq=3).update(target="something else")
    with pytest.raises(CommandError, match="entry 3 was altered"):
        call_command("audit", "verify")


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("statement", ["UPDATE {} SET target = 'x'", "DELETE FROM {}"])
def test_the_database_itself_refuses_to_change_an_entry(entries: list[AuditEntry], statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(audit_guard.TABLE))
    assert verify() == (3, [])


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("place", ["seq", "rowid"])
def test_an_entry_cannot_be_written_over(entries: list[AuditEntry], place: str) -> None:
    """INSERT OR REPLACE is no DELETE for SQLite's triggers."""
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite knows INSERT OR REPLACE")
    names = [field.column for field in AuditEntry._meta.concrete_fields]
    values = [{"actor_name": "'nobody'", "seq": "1" if place == "seq" else "99"}.get(name, name) for name in names]
    if place == "rowid":
        names, values = [*names, "rowid"], [*values, "rowid"]
    statement = "INSERT OR REPLACE INTO {} ({}) SELECT {} FROM {} WHERE seq = 1"
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(audit_guard.TABLE, ", ".join(names), ", ".join(values), audit_guard.TABLE))
    assert verify() == (3, [])
    assert record("image.delete", user=None).seq == 4, "the next entry has its place"


def test_a_job_that_ended_without_an_entry_is_found(entries: list[AuditEntry], admin: User) -> None:
    job = a_job(admin, state=JobState.FAILED)
    record(job.kind, user=admin, job=job)
    with pytest.raises(CommandError, match=f"no entry says that {re.escape(str(job))} failed"):
        call_command("audit", "verify")
    record(job.kind, user=admin, job=job, result=job.state)
    a_job(admin, state=JobState.RUNNING)
    call_command("audit", "verify", verbosity=0)


def test_who_kept_a_seal_sees_that_the_end_was_cut_off(entries: list[AuditEntry], capsys: Any) -> None:
    call_command("audit", "verify")
    assert entries[2].seal in capsys.readouterr().out
    call_command("audit", "verify", seal=entries[2].seal)
    AuditEntry.objects.filter(seq=3).delete()
    call_command("audit", "verify")
    with pytest.raises(CommandError, match="cut off"):
        call_command("audit", "verify", seal=entries[2].seal)


def test_an_entry_stands_or_falls_with_its_change() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record("image.delete", user=None)
        raise ZeroDivisionError
    assert not AuditEntry.objects.exists()

"""After all that was done to it: no secret is anywhere in what the installation keeps, logs or shows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet
from django.db import connections
from redis import Redis

from datastores.models import AuditEntry, Credential, Host, Job, words
from tests.faults.installation import Installation
from tests.faults.test_hosts import CONTEXT_SECRET, RIGHT_PASSWORD, WRONG_PASSWORD
from tests.faults.test_revoked import PASSWORD

OWN = {"secret_key", "secret_keys", "admin_password"}
"""Files that hold secrets on purpose, readable by nobody else."""


def stored_keys(site: Installation) -> list[str]:
    """Return the private keys of the installation, decrypted with its own key."""
    box = Fernet((site.stack.data / "secret_keys").read_text().split()[0])
    with connections[site.alias].cursor() as cursor:
        cursor.execute(f"SELECT private_key FROM {Credential._meta.db_table} WHERE private_key <> ''")  # noqa: S608
        return [box.decrypt(key.encode()).decode() for (key,) in cursor.fetchall()]


@pytest.fixture(scope="module")
def canaries(site: Installation) -> dict[str, bytes]:
    """What must be nowhere, by what it is. Of a private key each line, for it may have been cut up."""
    keys = [site.lab.key.read_text(), *stored_keys(site)]
    assert len(keys) > 1
    lines = [line for key in keys for line in key.splitlines() if len(line) > 40 and "-----" not in line]
    found = {f"line {number} of a private key": line.encode() for number, line in enumerate(lines)}
    others = {
        "wrong password": WRONG_PASSWORD, "right password": RIGHT_PASSWORD, "context": CONTEXT_SECRET,
        "password of admin": site.stack.password, "password of a person": PASSWORD,
    }  # fmt: skip
    return found | {what: secret.encode() for what, secret in others.items()}


def told(canaries: dict[str, bytes], where: str, content: bytes) -> list[str]:
    return [f"{what} is in {where}" for what, canary in canaries.items() if canary in content]


def test_no_file_of_the_installation_holds_a_secret(site: Installation, canaries: dict[str, bytes]) -> None:
    """The database file with what was deleted from it, its journal, Redis's log of commands, logs, configuration."""
    files = [path for path in site.stack.data.rglob("*") if path.is_file() and path.name not in OWN]
    assert {"workers.log", "web.log"} <= {path.name for path in files}
    assert [wrong for path in files for wrong in told(canaries, str(path), path.read_bytes())] == []


def rows_of_all_tables(site: Installation) -> Iterator[tuple[str, bytes]]:
    connection = connections[site.alias]
    # an index of words has no rows of its own to be read; the tables that it is made of are among the others
    for table in set(connection.introspection.table_names()) - {index.name for index in words.ALL}:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            for row in cursor:
                yield table, repr(row).encode()


def test_no_row_of_the_database_holds_a_secret_that_is_not_encrypted(
    site: Installation, canaries: dict[str, bytes]
) -> None:
    assert [wrong for table, row in rows_of_all_tables(site) for wrong in told(canaries, table, row)] == []


def test_no_value_in_redis_holds_a_secret(site: Installation, canaries: dict[str, bytes]) -> None:
    redis = Redis.from_url(site.stack.redis.url)
    wrong = []
    for key in redis.scan_iter(count=1000):
        content = redis.dump(key) or b""
        if redis.type(key) == b"hash":  # what is in a queue is compressed
            content += b"\0".join(unpacked(value) for value in redis.hgetall(key).values())
        wrong += told(canaries, repr(key), content)
    assert wrong == []


def unpacked(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


def test_no_page_shows_a_secret(site: Installation, canaries: dict[str, bytes]) -> None:
    visitor = site.twin()
    jobs = site.rows(Job).filter(kind__in=["host.onboard", "image.context"])
    pages = ["/", "/credentials/", "/hosts/", "/users/", "/audit/", "/jobs/", "/hosts/new/"]
    pages += [f"/hosts/{host.pk}/{part}" for host in site.rows(Host) for part in ("", "edit/")]
    pages += [f"/jobs/{job.uuid}/{part}" for job in jobs for part in ("", "plan/", "lines/", "log.txt")]
    pages += [f"/audit/{entry.seq}/" for entry in site.rows(AuditEntry).filter(action__startswith="host.")]
    assert [wrong for page in pages for wrong in told(canaries, page, visitor.get(page).encode())] == []

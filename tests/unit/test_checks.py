"""SQLite is refused on a network mount, before anything is started."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from cloudstore import checks
from cloudstore.checks import file_system

MOUNTS = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:45 / /srv rw,nosuid shared:20 master:3 - nfs4 nas:/srv rw,vers=4.2
31 30 254:16 / /srv/local rw - xfs /dev/vdb rw
32 22 0:46 / /mnt/two\040words rw - fuse.sshfs me@nas:/ rw
33 22 0:47 / /mnt/over rw - ext4 /dev/vdc rw
34 22 0:48 / /mnt/over rw - cifs //nas/share rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/cloudstore/cloudstore.sqlite3", "ext4"),
        ("/srv/cloudstore/cloudstore.sqlite3", "nfs4"),
        ("/srv/local/cloudstore.sqlite3", "xfs"),
        ("/srv/locally/cloudstore.sqlite3", "nfs4"),
        ("/srvs/cloudstore.sqlite3", "ext4"),
        ("/mnt/two words/cloudstore.sqlite3", "fuse.sshfs"),
        ("/mnt/over/cloudstore.sqlite3", "cifs"),
    ],
)
def test_a_path_is_on_the_innermost_mount_that_was_made_last(path: str, kind: str) -> None:
    assert file_system(PurePosixPath(path), MOUNTS) == kind


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The database of an installation on a machine with the mounts above; a test moves it."""
    described = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/srv/data/cloudstore.sqlite3"}
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(checks, "MOUNTINFO", tmp_path / "mountinfo")
    monkeypatch.setattr(checks, "settings", SimpleNamespace(DATABASES={"default": described}))
    return described


def test_nothing_is_started_on_a_network_file_system(database: dict[str, str]) -> None:
    with pytest.raises(SystemCheckError) as refused:
        call_command("check")
    for words in ("/srv/data/cloudstore.sqlite3 is on a network file system (nfs4)", "CLOUDSTORE_DATA_DIR",
                  "DATABASE_URL"):  # fmt: skip
        assert words in str(refused.value)


@pytest.mark.parametrize(
    "elsewhere", [{"NAME": "/srv/local/cloudstore.sqlite3"}, {"ENGINE": "django.db.backends.postgresql"}]
)
def test_a_local_disk_and_postgresql_are_fine(database: dict[str, str], elsewhere: dict[str, str]) -> None:
    database.update(elsewhere)
    assert checks.database_is_local() == []


def test_where_mounts_cannot_be_read_nothing_is_refused(
    database: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOUNTINFO", Path("/nowhere"))
    assert checks.database_is_local() == []

from __future__ import annotations

import fcntl
import hashlib
import io
import secrets
import string
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from datastores.models import User
from datastores.services.hosts import own_credential

ALPHABET = string.ascii_letters + string.digits


class Command(BaseCommand):
    help = "Bring database and static files up to date, and make the first admin. Safe to run at any time."

    def handle(self, **options: Any) -> None:
        call_command("check", fail_level="ERROR", stdout=io.StringIO())
        call_command("migrate", verbosity=0)
        self.collect_static()
        own_credential()
        if not User.objects.filter(role=User.Role.ADMIN).exists():
            self.make_admin()

    def collect_static(self) -> None:
        """Collect only when a file has changed: compressing takes seconds. Two at once wait for each other."""
        stamp = settings.STATIC_ROOT / ".collected"
        state = fingerprint([settings.BASE_DIR / "static", settings.BASE_DIR / "docs" / "screenshots"])
        with Path(f"{settings.STATIC_ROOT}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if stamp.exists() and stamp.read_text() == state:
                return
            call_command("collectstatic", interactive=False, clear=True, verbosity=0, ignore_patterns=["*.mjs"])
            stamp.write_text(state)

    def make_admin(self) -> None:
        password = "".join(secrets.choice(ALPHABET) for _ in range(20))
        path = settings.DATA_DIR / "admin_password"
        path.touch(mode=0o600)
        path.write_text(password + "\n")
        User.objects.create_superuser("admin", password=password)


def fingerprint(directories: list[Path]) -> str:
    """Return a digest over names, sizes and times of all files below."""
    digest = hashlib.sha256()
    for directory in directories:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                status = path.stat()
                digest.update(f"{path}:{status.st_size}:{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()

"""Settings from the environment; NAME_FILE names a file that holds the value of NAME."""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from environs import Env

env = Env()


def secret(name: str, default: str = "") -> str:
    """Return NAME, or the content of the file that NAME_FILE names."""
    path = env.str(f"{name}_FILE", "")
    return Path(path).read_text().strip() if path else env.str(name, default)


def generated(path: Path, *, fernet: bool = False) -> str:
    """Return the secret in ``path``; make it on the first start, readable by this account only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        value = Fernet.generate_key().decode() if fernet else secrets.token_urlsafe(50)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(value)
    return path.read_text().strip()

"""Fields of ours: text that is encrypted at rest, and text that passes a validator of the domain."""

from __future__ import annotations

import functools
from enum import StrEnum
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


@functools.lru_cache(maxsize=1)
def secret_box() -> MultiFernet:
    """Return the box for secrets at rest: the first key encrypts, all of them decrypt."""
    if not settings.SECRET_KEYS:
        raise ImproperlyConfigured("CLOUDSTORE_SECRET_KEYS holds no key: secrets cannot be stored or read.")
    return MultiFernet([Fernet(key) for key in settings.SECRET_KEYS])


class EncryptedTextField(models.TextField):
    """Text that the database holds only encrypted (Fernet). Not searchable; "" stays ""."""

    def get_prep_value(self, value: Any) -> Any:
        return secret_box().encrypt(value.encode()).decode() if value else ""

    def from_db_value(self, value: str | None, expression: object, connection: object) -> str:
        if not value:
            return ""
        try:
            return secret_box().decrypt(value.encode()).decode()
        except InvalidToken as error:
            raise ImproperlyConfigured(
                "A stored secret cannot be read with the keys in CLOUDSTORE_SECRET_KEYS. "
                "Bring back the key that it was stored with."
            ) from error


def choices(states: type[StrEnum]) -> list[tuple[str, str]]:
    """Return Django choices for an enum of the domain."""
    return [(state.value, state.value) for state in states]

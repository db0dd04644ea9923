"""All that is wrong with a new datastore, told at once: the use case stops at the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datastores.domain.errors import BadInput, CloudstoreError
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import make_driver
from datastores.models import Datastore, Host
from datastores.services.datastore_hosts import require_own_directory


def wrong_options(driver: type[StorageDriver], given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with options that differ from the defaults, each with the label of the one that is wrong.

    Which one that is shows when the refusal is another one without it. What is wrong only together with others, and
    cannot be told apart from them, is the last that is said.
    """
    fields = {field.name: field for field in dataclasses.fields(driver.Options)}
    left = dict(given)
    while refusal := refused(driver, left):
        without = ({key: value for key, value in left.items() if key != name} for name in left)
        culprit = next((name for name, rest in zip(left, without, strict=True) if refused(driver, rest) != refusal), "")
        if not culprit:
            yield refusal
            return
        yield f"{fields[culprit].metadata.get('label', culprit)}: {refusal}"
        del left[culprit]


def refused(driver: type[StorageDriver], options: Mapping[str, Any]) -> str:
    """Return why options are refused; "": they are not."""
    try:
        driver.Options(**options)
    except BadInput as error:
        return str(error)
    return ""


def wrong_place(
    driver: type[StorageDriver], base: str, hosts: Sequence[Host], options: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what is wrong with where a new datastore is to be, its options being acceptable."""
    try:
        require_own_directory(base, hosts)
    except CloudstoreError as error:
        yield str(error)
    if driver.has_bricks:  # its bricks are looked at by themselves
        return
    try:
        names = [host.name for host in hosts]
        make_driver(driver.kind, host=names[0], base=base, hosts=names, options=options).check_new()
    except BadInput as error:
        yield str(error)
    except CloudstoreError:  # it needs more than the form says: the use case will tell
        return


def taken(name: str) -> str:
    """Return why a datastore cannot have the name; "": it can."""
    return f"There is a datastore {name} already." if Datastore.objects.filter(name=name).exists() else ""

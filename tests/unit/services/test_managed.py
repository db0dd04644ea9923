"""What is kept true: of which hosts and things, and in how many queries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datastores.drivers.files import FileDriver
from datastores.models import Datastore, Disk, Host, User
from datastores.services.drift import storable
from datastores.services.drift_scope import Managed, Scope
from datastores.services.hosts import HostOnboard
from datastores.services.managed import find, statements
from tests.unit.conftest import a_credential, a_datastore, a_disk, a_host, a_job, an_image

pytestmark = pytest.mark.django_db
KEY = f"ssh-ed25519 {'A' * 68} cloudstore"


def kept(**fields: Any) -> list[Managed]:
    return list(statements(Scope(Host.objects.usable(), **fields)))


def found_as(key: str, like: Managed) -> tuple[Managed, Any] | None:
    """Look for a statement about what another one is about."""
    scope = Scope(Host.objects.filter(pk=like.host), like.datastore, like.image, like.disk)
    return find(key, like.owner, scope)


def test_a_key_is_kept_on_hosts_that_onboarding_gave_it_to(admin: User) -> None:
    key = a_credential(public_key=KEY)
    onboarded = a_host(credential=key)
    a_host(credential=key, state="new")
    a_host(credential=key, maintenance=True)
    a_host(credential=a_credential(public_key=KEY, certificate="signed"))
    a_host(credential=a_credential())
    [managed] = kept()
    assert (managed.owner, managed.host) == (HostOnboard.kind, onboarded.pk)
    job = a_job(admin, "host.onboard", host=onboarded)
    assert HostOnboard().plan(job)[0].steps[: len(managed.steps)] == managed.steps, "as onboarding does"


def test_a_datastore_is_kept_on_each_of_its_hosts_that_can_be_used(admin: User) -> None:
    hosts = [a_host("h1"), a_host("h2"), a_host("h3", state="unreachable")]
    store = a_datastore(hosts=hosts)
    directories = [managed for managed in kept() if not managed.inside]
    assert [managed.host for managed in directories] == [hosts[0].pk, hosts[1].pk]
    assert {managed.datastore for managed in directories} == {store.pk}
    an_image(admin, datastore=store)
    Host.objects.filter(name="h1").update(maintenance=True)
    assert not [managed for managed in kept() if managed.inside], "its files are on the storage host"


def test_things_that_are_being_made_or_changed_are_not_settled(admin: User) -> None:
    store = a_datastore()
    for state in ("ready", "changing", "pending", "error"):
        a_disk(an_image(admin, datastore=store, state=state), state=state)
    for name in ("image", "disk"):
        assert [each.settled for each in kept() if getattr(each, name)] == [True, False, False, False]
    Datastore.objects.update(state="deleting")
    assert not any(each.settled for each in kept())


def test_statements_of_different_things_have_different_keys(admin: User) -> None:
    hosts = [a_host(credential=a_credential(public_key=KEY)) for _ in range(3)]
    store = a_datastore(hosts=hosts)
    a_disk(an_image(admin, datastore=store)), a_disk(an_image(admin, datastore=store))
    keys = [managed.key(step) for managed in kept() for step in managed.steps]
    assert len(keys) == len(set(keys)) > 10
    assert keys == [managed.key(step) for managed in kept() for step in managed.steps]


def test_a_statement_is_found_by_its_key_with_what_it_stands_on() -> None:
    store = a_datastore(hosts=[a_host("h1"), a_host("h2")])
    [_, managed] = [each for each in kept() if not each.inside]
    last = managed.steps[-1]
    found = found_as(managed.key(last), managed)
    assert found and found[1] == managed.steps
    assert found_as("another", managed) is None
    assert found_as(managed.key(last), replace(managed, owner="host.onboard")) is None
    assert found_as(managed.key(last), replace(managed, host=10**9)) is None
    assert found_as(managed.key(last), replace(managed, datastore=store.pk + 1)) is None


def test_a_statement_of_an_image_or_disk_is_found_without_those_of_others(
    admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = a_datastore()
    for _ in range(3):
        a_disk(an_image(admin, datastore=store), datastore=store)
    made: list[Any] = []
    stored = FileDriver.stored
    monkeypatch.setattr(FileDriver, "stored", lambda *args, **more: made.append(args) or stored(*args, **more))
    for wanted in [each for each in kept() if each.image or each.disk]:
        made.clear()
        found = found_as(wanted.key(wanted.steps[0]), wanted)
        assert found and found[0] == wanted
        assert len(made) == 1
        deleted = replace(wanted, image=None, disk=None)
        assert found_as(wanted.key(wanted.steps[0]), deleted) is None
        assert len(made) == 1


def test_an_outdated_statement_of_a_directory_is_sought_without_a_look_at_its_images(admin: User) -> None:
    store = a_datastore()
    a_disk(an_image(admin, datastore=store), datastore=store)
    [managed] = [each for each in kept() if not each.inside]
    with CaptureQueriesContext(connection) as asked:
        assert found_as("outdated", managed) is None
    tables = " ".join(query["sql"] for query in asked)
    assert "datastores_datastore" in tables
    assert not any(f'"datastores_{name}"' in tables for name in ("image", "disk", "job"))


def test_a_datastore_with_options_that_are_not_acceptable_is_left_out() -> None:
    a_datastore("broken", options={"mode": "rwx"})
    fine = a_datastore("fine")
    scope = Scope(Host.objects.usable())
    assert {each.datastore for each in statements(scope)} == {fine.pk}
    assert scope.blind == {Datastore.objects.get(name="broken").pk}


def test_rows_whose_data_are_wrong_are_told_and_stop_no_other(admin: User) -> None:
    key, bad_key = a_credential(public_key=KEY), a_credential(public_key="no key\nat all")
    store, other = a_datastore("gold", hosts=[a_host(credential=key)]), a_datastore("iron")
    login = a_host("odd", credential=bad_key)
    good, bad = an_image(admin, "good", datastore=store), an_image(admin, "bad", datastore=store, format="vmdk")
    there, wrong = a_disk(good), a_disk(good, format="")
    link = a_disk(bad, kind=Disk.Kind.LINK)
    elsewhere = an_image(admin, "elsewhere", datastore=other)
    scope = Scope(Host.objects.usable())
    said = list(statements(scope))
    assert {each.image for each in said} == {None, good.pk, elsewhere.pk}
    assert {each.disk for each in said} == {None, there.pk}
    assert {each.datastore for each in said if not each.inside} == {None, store.pk, other.pk}
    assert [each.about for each in scope.unsaid] == [
        f"host:{login.pk}", f"image:{bad.pk}", f"disk:{wrong.pk}", f"disk:{link.pk}", f"images of datastore:{store.pk}",
    ]  # fmt: skip
    assert scope.unsaid[1].why == "Nothing can be said of the image bad: 'vmdk' is no format of a file."


def test_a_defect_is_not_taken_for_a_row_with_wrong_data(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    an_image(admin)

    def defect(*args: Any) -> None:
        raise TypeError("a defect")

    monkeypatch.setattr("datastores.services.managed.master", defect)
    with pytest.raises(TypeError, match="a defect"):
        kept()


def test_more_hosts_and_images_need_no_more_queries(admin: User) -> None:
    def fill() -> None:
        store = a_datastore(hosts=[a_host(), a_host()])
        image = an_image(admin, datastore=store)
        a_disk(image), a_disk(an_image(admin, datastore=store, persistent=True), kind=Disk.Kind.LINK)

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            kept()
        return len(asked)

    fill()
    few = queries()
    for _ in range(5):
        fill()
    assert queries() == few


def test_bytes_that_a_database_cannot_keep_are_shown_all_the_same() -> None:
    value = {"diff": "a\0b\udcff", "argv": ["x\udcff"], "root": True, "timeout": 1.5, "undo": None}
    assert storable(value) == {"diff": "a?b?", "argv": ["x?"], "root": True, "timeout": 1.5, "undo": None}

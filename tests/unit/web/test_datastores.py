"""Datastores: the form that is made from a driver, and the lists."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Any

import pytest
from django import forms
from django.test import Client

from datastores.drivers.registry import DRIVERS, make_driver
from datastores.models import AuditEntry, Cluster, Datastore, DatastoreHost, Host, Job, User
from datastores.services import settings as kept
from datastores.web.forms.datastores import OptionsForm, option_field
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, an_image, signed_in, text_of


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@pytest.mark.parametrize(
    ("default", "kind"),
    [(True, forms.BooleanField), (3, forms.IntegerField), ("x", forms.CharField), (Colour.RED, forms.ChoiceField)],
)
def test_a_field_for_each_type_of_option(default: Any, kind: type[forms.Field]) -> None:
    metadata = {"label": "A label", "help": "Some help."}
    options = dataclasses.make_dataclass("Options", [("x", Any, dataclasses.field(default=default, metadata=metadata))])
    field = option_field(dataclasses.fields(options)[0])
    assert type(field) is kind
    assert (field.label, field.help_text, field.initial) == ("A label", "Some help.", default)


@pytest.mark.parametrize("kind", sorted(DRIVERS))
def test_every_kind_has_a_form_whose_defaults_are_the_drivers(kind: str) -> None:
    driver = DRIVERS[kind]
    unsent = OptionsForm(driver)
    sent = {f"options-{kind}-{name}": field.initial for name, field in unsent.fields.items() if field.initial}
    if driver.has_bricks:
        sent[f"options-{kind}-bricks"] = "h1:/srv/disk1/brick"
    form = OptionsForm(driver, data=sent)
    assert form.is_valid(), form.errors
    assert form.options() == {}
    assert make_driver(kind, host="h1", base="/srv", options=form.options()).options == driver.Options()


def asked(client: Client, **fields: str) -> str:
    return text_of(client.get("/datastores/options/", fields))


def test_what_has_no_meaning_with_what_is_chosen_is_not_asked_for(admin: User) -> None:
    client = signed_in(admin)
    lvm = asked(client, kind="iscsi")
    assert 'name="options-iscsi-group_name"' in lvm and 'name="options-iscsi-dataset"' not in lvm
    given = {"options-iscsi-backing": "zfs", "options-iscsi-portal": "10.9.9.9", "options-iscsi-chap": "on"}
    zfs = asked(client, kind="iscsi", **given)
    assert 'name="options-iscsi-dataset"' in zfs and 'name="options-iscsi-group_name"' not in zfs
    assert 'value="10.9.9.9"' in zfs and 'value="64K"' in zfs  # what was typed, and the default of what is new
    assert 'name="options-zfs-clients"' not in asked(client, kind="zfs")
    exported = asked(client, kind="zfs", **{"options-zfs-exported": "on", "options-zfs-dataset": "tank/one"})
    assert 'name="options-zfs-clients"' in exported and 'value="tank/one"' in exported
    assert "lookupcache=positive" in exported


def test_what_is_sent_of_options_that_were_not_asked_for_does_not_count() -> None:
    sent = {"options-iscsi-backing": "xfs", "options-iscsi-dataset": "tank/luns", "options-iscsi-chap": "on"}
    form = OptionsForm(DRIVERS["iscsi"], data=sent)
    assert form.is_valid() and form.options() == {"backing": "xfs"}
    form = OptionsForm(DRIVERS["iscsi"], data=sent | {"options-iscsi-backing": "zfs"})
    assert form.is_valid() and form.options() == {"backing": "zfs", "dataset": "tank/luns"}


def new(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "xfs", "name": "gold", "type": "image", "base": "/srv/gold", "options-xfs-owner": "oneadmin",
        "options-xfs-group": "root", "options-xfs-mode": "0660",
    } | fields  # fmt: skip


def test_a_new_datastore_becomes_a_job_and_then_a_plan(admin: User) -> None:
    storage, other = a_host("storage"), a_host("kvm")
    sent = new(storage_host=storage.pk, other_hosts=[storage.pk, other.pk], source_directories="/var/tmp\n\n/srv/up\n")
    response = signed_in(admin).post("/datastores/new/", sent)
    job = Job.objects.get()
    assert response.url == f"/jobs/{job.uuid}/plan/"
    assert job.params["hosts"] == [storage.pk, other.pk]
    assert job.params["options"]["owner"] == "oneadmin"
    datastore = Datastore.objects.get()
    assert datastore.source_directories == ["/var/tmp", "/srv/up"]
    assert [str(member.host) for member in datastore.members.all()] == ["storage", "kvm"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base": "srv"}, "must be absolute"),
        ({"base": "/etc"}, "belongs to the system"),
        ({"base": "/proc/images"}, "belongs to the system"),
        ({"base": "/dev/shm/images"}, "belongs to the system"),
        ({"base": "/srv/a;reboot"}, "may hold letters, digits, blanks"),
        ({"base": "/srv/taken/deeper"}, "overlaps /srv/taken"),
        ({"options-xfs-mode": "99"}, "mode"),
        ({"options-xfs-owner": "-R"}, "is not an account name"),
        ({"source_directories": "/var/tmp\nrelative"}, "must be absolute"),
        ({"kind": "tape"}, "Select a valid choice"),
        ({"storage_host": ""}, "This field is required"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_entered_is_kept(admin: User, fields: dict[str, Any], words: str) -> None:
    host = a_host("storage")
    a_datastore("taken", base="/srv/taken", hosts=[host])
    page = text_of(signed_in(admin).post("/datastores/new/", new(**({"storage_host": host.pk} | fields))))
    assert words in page
    assert 'value="gold"' in page
    assert not Job.objects.exists()


def test_hosts_that_cannot_be_used_are_no_choice(admin: User) -> None:
    a_host("good")
    a_host("resting", maintenance=True)
    a_host("gone", state="unreachable")
    page = text_of(signed_in(admin).get("/datastores/new/"))
    assert ">good</option>" in page
    assert "resting" not in page
    assert ">gone" not in page


def test_the_options_follow_the_kind(admin: User) -> None:
    client = signed_in(admin)
    for kind in DRIVERS:
        assert f"options-{kind}-" in text_of(client.get("/datastores/options/", {"kind": kind}))


def test_every_kind_is_introduced(admin: User) -> None:
    a_host()
    page = text_of(signed_in(admin).get("/datastores/new/"))
    for driver in DRIVERS.values():
        assert driver.about in page


def test_a_list_as_operators_know_it(admin: User) -> None:
    datastore = a_datastore("gold", kind="qcow2", total=100 * GIB, used=78 * GIB, free=22 * GIB)
    an_image(admin, datastore=datastore, virtual_size=40 * GIB, real_size=30 * GIB)
    row = text_of(signed_in(admin).get(f"/datastores/?row={datastore.pk}", headers={"HX-Request": "true"}))
    for words in ("gold", ">img<", ">fs<", ">qcow2<", "100 GiB", ">22%<", "78 % used, 10 % more promised"):
        assert words in row, words


def test_figures_are_not_multiplied_by_joins(admin: User) -> None:
    datastore = a_datastore(total=1000 * GIB, used=100 * GIB)
    images = [an_image(admin, datastore=datastore, virtual_size=10 * GIB, real_size=5 * GIB) for _ in range(3)]
    for image in images:
        a_disk(image)
        a_disk(image)
    row = text_of(signed_in(admin).get(f"/datastores/?row={datastore.pk}", headers={"HX-Request": "true"}))
    # 3 * 10 + 6 * 10 GiB promised, 15 of them taken: 75 of 1000
    assert "10 % used, 8 % more promised" in row
    assert row.split('class="num">')[-1].startswith("3</td>")


def test_the_page_of_a_datastore(admin: User) -> None:
    datastore = a_datastore("gold", options={"owner": "oneadmin"})
    image = an_image(admin, "ubuntu", datastore=datastore)
    a_disk(image)
    page = text_of(signed_in(admin).get(f"/datastores/{datastore.pk}/"))
    for words in ("DS_MAD", "TM_MAD", "LN_TARGET", datastore.base, "ubuntu", "oneadmin", str(datastore.hosts.get())):
        assert words in page, words


def test_a_datastore_over_the_network_says_what_firewalls_have_to_let_through(admin: User) -> None:
    datastore = a_datastore("gold", kind="nfs", hosts=[a_host("nas1"), a_host("kvm9")])
    page = text_of(signed_in(admin).get(f"/datastores/{datastore.pk}/"))
    assert "kvm9 to nas1: TCP 2049 (NFSv4)" in page


def test_deleting_is_planned_first(admin: User) -> None:
    datastore = a_datastore("gold")
    client, url = signed_in(admin), f"/datastores/{datastore.pk}/delete/"
    assert "You see the plan first" in text_of(client.post(url))
    an_image(admin, datastore=datastore)
    assert "still holds 1 images" in text_of(client.post(url, {"confirm_name": "gold"}, follow=True))
    datastore.images.all().delete()
    client.post(url, {"confirm_name": "gold"})
    assert Job.objects.get().kind == "datastore.delete"


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("at once", "The job begins at once."),
        ("after approval", "You see the plan first: every command on every host. Nothing changes before it is"),
        ("four eyes", "Nothing changes before somebody else has approved it."),
    ],
)
def test_who_asks_is_told_what_happens_next(admin: User, policy: str, told: str) -> None:
    kinds = ("datastore.create", "datastore.hosts", "datastore.delete")
    client = signed_in(admin)
    kept.change("approval", 0, dict.fromkeys(kinds, policy), "anna")
    assert told in text_of(client.get("/datastores/"))
    datastore = a_datastore("gold")
    for path in ("/datastores/new/", f"/datastores/{datastore.pk}/", f"/datastores/{datastore.pk}/hosts/"):
        page = text_of(client.get(path))
        assert told in page, path
        assert ("Show the plan" in page) == (policy != "at once" and path != f"/datastores/{datastore.pk}/")
        assert (policy == "at once") == ("the plan" not in page), path
    assert told in text_of(client.post(f"/datastores/{datastore.pk}/delete/"))


def test_all_that_is_wrong_with_a_new_datastore_is_said_at_once(admin: User) -> None:
    taken = a_datastore("taken", base="/srv/taken")
    sent = {
        "kind": "nfs", "name": "taken", "type": "image", "base": "/srv/taken/inside",
        "storage_host": taken.hosts.get().pk, "options-nfs-squash": "none", "options-nfs-writes": "sync",
        "options-nfs-mode": "0660",
    }  # fmt: skip
    wrong = {"options-nfs-mode": "rw", "options-nfs-owner": "no such:name"}
    text = text_of(signed_in(admin).post("/datastores/new/", sent | wrong))
    assert "There is a datastore taken already." in text
    assert "Mode: " in text and "Owner: " in text
    text = text_of(signed_in(admin).post("/datastores/new/", sent))
    assert "There is a datastore taken already." in text and "overlaps /srv/taken" in text
    text = text_of(signed_in(admin).post("/datastores/new/", sent | {"base": "/etc/x", "options-nfs-mode": "0777"}))
    assert "There is a datastore taken already." in text and "/etc" in text
    assert Datastore.objects.count() == 1


class TestChanging:
    """What is known of a datastore here, and which hosts use it."""

    @pytest.fixture
    def datastore(self) -> Datastore:
        return a_datastore("gold", kind="shared", hosts=[a_host("nas"), a_host("kvm1")])

    def sent(self, datastore: Datastore, **fields: Any) -> dict[str, Any]:
        return {"name": datastore.name, "source_directories": "", "version": datastore.version} | fields

    def test_its_name_and_cluster_and_where_images_come_from(self, admin: User, datastore: Datastore) -> None:
        cluster = Cluster.objects.create(name="east")
        sent = self.sent(datastore, name="silver", cluster=cluster.pk, source_directories="/srv/a\n/srv/b")
        signed_in(admin).post(f"/datastores/{datastore.pk}/edit/", sent)
        datastore.refresh_from_db()
        assert (datastore.name, datastore.cluster) == ("silver", cluster)
        assert datastore.source_directories == ["/srv/a", "/srv/b"]
        entry = AuditEntry.objects.get(action="datastore.change")
        assert entry.detail["before"]["name"] == "gold"
        assert entry.detail["after"]["source directories"] == "/srv/a, /srv/b"

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"name": "taken"}, "already exists"),
            ({"name": "a\nb"}, "name"),
            ({"source_directories": "/etc"}, "belongs to the system"),
            ({"version": 7}, "changed by somebody else meanwhile"),
            ({"version": ""}, "version is missing"),
        ],
    )
    def test_what_is_wrong_is_said_and_nothing_is_stored(
        self, admin: User, datastore: Datastore, fields: dict[str, Any], words: str
    ) -> None:
        a_datastore("taken")
        sent = self.sent(datastore, **({"name": "silver"} | fields))
        assert words in text_of(signed_in(admin).post(f"/datastores/{datastore.pk}/edit/", sent))
        datastore.refresh_from_db()
        assert (datastore.name, datastore.source_directories) == ("gold", [])

    def test_two_people_do_not_overwrite_each_other(self, admin: User, datastore: Datastore) -> None:
        client, url = signed_in(admin), f"/datastores/{datastore.pk}/edit/"
        client.post(url, self.sent(datastore, name="first"))
        assert "first was changed by anna on " in text_of(client.post(url, self.sent(datastore, name="second")))
        assert Datastore.objects.get().name == "first"

    def test_what_is_as_it_was_is_no_change(self, admin: User, datastore: Datastore) -> None:
        signed_in(admin).post(f"/datastores/{datastore.pk}/edit/", self.sent(datastore))
        datastore.refresh_from_db()
        assert datastore.version == 0
        assert not AuditEntry.objects.filter(action="datastore.change").exists()

    def test_hosts_are_added_and_taken_out_by_a_plan(self, admin: User, datastore: Datastore) -> None:
        kvm1, kvm2 = Host.objects.get(name="kvm1"), a_host("kvm2")
        sent = {"hosts": [kvm2.pk], "shown": [kvm1.pk]}
        response = signed_in(admin).post(f"/datastores/{datastore.pk}/hosts/", sent)
        job = Job.objects.get()
        assert response.url == f"/jobs/{job.uuid}/plan/"
        assert (job.params["add"], job.params["remove"]) == ([kvm2.pk], [kvm1.pk])

    def test_what_somebody_else_changed_meanwhile_is_not_undone(self, admin: User, datastore: Datastore) -> None:
        kvm1, kvm2, kvm3 = Host.objects.get(name="kvm1"), a_host("kvm2"), a_host("kvm3")
        DatastoreHost.objects.create(datastore=datastore, host=kvm2, position=2)
        signed_in(admin).post(f"/datastores/{datastore.pk}/hosts/", {"hosts": [kvm1.pk, kvm3.pk], "shown": [kvm1.pk]})
        params = Job.objects.get().params
        assert (params["add"], params["remove"]) == ([kvm3.pk], [])

    def test_a_host_that_does_not_answer_can_only_be_taken_out(self, admin: User, datastore: Datastore) -> None:
        Host.objects.filter(name="kvm1").update(state="unreachable")
        a_host("away", state="unreachable")
        page = text_of(signed_in(admin).get(f"/datastores/{datastore.pk}/hosts/"))
        assert "kvm1" in page
        assert "away" not in page


def test_two_people_do_not_overwrite_each_others_cluster(admin: User) -> None:
    cluster, client = Cluster.objects.create(name="east"), signed_in(admin)
    url = f"/clusters/{cluster.pk}/edit/"
    client.post(url, {"name": "east", "description": "first", "version": 0})
    assert "east was changed by anna on " in text_of(
        client.post(url, {"name": "east", "description": "b", "version": 0})
    )
    assert Cluster.objects.get().description == "first"

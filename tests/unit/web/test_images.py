"""Images: what is asked for becomes a job, and what is refused is said where it was asked."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from datastores.models import AuditEntry, Disk, HostKey, Image, Job, SettingsSection, Snapshot, User, VirtualMachine
from datastores.models.fields import secret_box
from datastores.services import settings
from datastores.web import dependants
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, a_job, a_vm, an_image, signed_in, text_of

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmFh5OFy+kJkYcU0Fh5Bt7DhSWyHmNMlvT4o9Uu0Y2a"

JSON = {"Accept": "application/json"}


def test_registering_becomes_a_job(alice: User, enqueued: list[str], django_capture_on_commit_callbacks: Any) -> None:
    datastore = a_datastore()
    sent = {"datastore": datastore.pk, "name": "ubuntu", "source": "/var/tmp/ubuntu.img", "type": "OS", "format": "raw"}
    with django_capture_on_commit_callbacks(execute=True):
        response = signed_in(alice).post("/images/register/", sent)
    job = Job.objects.get()
    assert response.url == f"/jobs/{job.uuid}/"
    assert enqueued == [str(job.uuid)]
    assert (job.kind, job.user, job.address) == ("image.register", alice, "127.0.0.1")
    image = Image.objects.get()
    assert (image.name, image.owner, image.state, image.source) == ("ubuntu", alice, "pending", "/var/tmp/ubuntu.img")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("source", "var/tmp/x", "must be absolute"),
        ("source", "/var/tmp/../etc/shadow", "must not contain"),
        ("source", "/etc/passwd", "/etc/passwd is not below /var/tmp"),
        ("source", "/var/tmpevil/x", "is not below /var/tmp"),
        ("source", "/var/tmp", "/var/tmp is not below"),
        ("name", "-rf", "begins with a letter or digit"),
        ("name", "a\u202eb", "invisible or control character"),
        ("name", "", "This field is required"),
        ("format", "vmdk", "Select a valid choice"),
        ("datastore", "999999", "Select a valid choice"),
    ],
)
def test_what_cannot_be_registered_is_said_at_the_field(admin: User, field: str, value: str, words: str) -> None:
    sent = {"datastore": a_datastore().pk, "name": "n", "source": "/var/tmp/x", "type": "OS"} | {field: value}
    page = text_of(signed_in(admin).post("/images/register/", sent))
    assert words in page
    assert not Job.objects.exists()


def test_a_refusal_keeps_what_was_entered(admin: User) -> None:
    image = an_image(admin, "taken")
    sent = {"datastore": image.datastore_id, "name": "taken", "source": "/var/tmp/the.img", "type": "OS"}
    page = text_of(signed_in(admin).post("/images/register/", sent))
    assert "There is an image taken" in page
    assert 'value="/var/tmp/the.img"' in page
    assert not Job.objects.exists()


def test_the_form_says_from_where_images_may_be_registered(admin: User) -> None:
    first = a_datastore()
    assert "It has to lie below /var/tmp." in text_of(signed_in(admin).get("/images/register/"))
    own = a_datastore(source_directories=["/srv/up", "/srv/in"])
    page = text_of(signed_in(admin).get("/images/register/"))
    assert f"/var/tmp for {first}" in page
    assert f"/srv/up or /srv/in for {own}" in page


def test_a_name_that_a_failed_registration_holds_says_what_to_do(admin: User) -> None:
    image = an_image(admin, "taken", state="error", error="it is not an image.")
    sent = {"datastore": image.datastore_id, "name": "taken", "source": "/var/tmp/the.img", "type": "OS"}
    page = text_of(signed_in(admin).post("/images/register/", sent))
    assert "could not be made (it is not an image). Delete it, or choose another name." in page


@pytest.mark.parametrize("size", ["10 B", "512 B", "1 KiB", "65 TiB", "1048577"])
def test_a_size_that_no_disk_can_have_is_refused(admin: User, size: str) -> None:
    sent = {"datastore": a_datastore().pk, "name": "b", "size": size, "format": "raw"}
    signed_in(admin).post("/images/block/", sent)
    assert not Job.objects.exists()


def test_a_data_block_has_its_size_in_bytes(admin: User) -> None:
    sent = {"datastore": a_datastore().pk, "name": "b", "size": "1.5 GiB", "format": "raw", "filesystem": "ext4"}
    signed_in(admin).post("/images/block/", sent)
    assert Image.objects.get().virtual_size == 3 * GIB // 2


def test_a_context_disc_has_variables(admin: User) -> None:
    lines = "HOSTNAME=web-1\n\nPASSWORD = a=b 'c'\n"
    signed_in(admin).post("/images/context/", {"datastore": a_datastore().pk, "name": "c", "variables": lines})
    kept = Job.objects.get().params["variables"]
    assert json.loads(secret_box().decrypt(kept)) == {"HOSTNAME": "web-1", "PASSWORD": "a=b 'c'"}


@pytest.mark.parametrize(
    ("lines", "words"),
    [("1A=b", "Line 1 is not KEY=VALUE"), ("A=1\nB", "Line 2"), ("A=1\nA=2", "A is there twice"), ("\n", "required")],
)
def test_context_variables_are_checked_line_by_line(admin: User, lines: str, words: str) -> None:
    sent = {"datastore": a_datastore().pk, "name": "c", "variables": lines}
    assert words in text_of(signed_in(admin).post("/images/context/", sent))
    assert not Job.objects.exists()


# Disks


def test_one_disk_for_a_new_machine(alice: User) -> None:
    image = an_image(alice)
    response = signed_in(alice).post(f"/images/{image.pk}/disks/", {"vm_name": "web", "count": 1})
    disk = Disk.objects.get()
    assert (disk.vm.name, disk.vm.owner, disk.image, disk.kind) == ("web", alice, image, "clone")
    assert response.url == Job.objects.get().get_absolute_url()


def test_a_program_gets_the_jobs(alice: User) -> None:
    image = an_image(alice)
    response = signed_in(alice).post(f"/images/{image.pk}/disks/", {"vm_name": "web", "count": 2}, headers=JSON)
    assert response.status_code == 202
    jobs = Job.objects.order_by("pk")
    assert response.json() == {
        "jobs": [{"uuid": str(job.uuid), "url": f"/jobs/{job.uuid}/", "disk": job.disk_id} for job in jobs]
    }
    assert [vm.name for vm in VirtualMachine.objects.order_by("pk")] == ["web-1", "web-2"]


def test_fifty_machines_at_once(alice: User) -> None:
    image = an_image(alice)
    response = signed_in(alice).post(f"/images/{image.pk}/disks/", {"vm_name": "w", "count": 50})
    assert response.url == "/jobs/?kind=disk.create"
    assert Disk.objects.filter(vm__name="w-50", number=0).exists()
    assert Job.objects.count() == 50


def test_another_disk_for_a_machine_that_is_there(alice: User) -> None:
    image = an_image(alice)
    vm = a_disk(image).vm
    signed_in(alice).post(f"/images/{image.pk}/disks/", {"vm": vm.pk, "count": 1})
    assert [disk.number for disk in vm.disks.all()] == [0, 1]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"count": 1}, "Name a new virtual machine, or choose one"),
        ({"count": 0, "vm_name": "a"}, "greater than or equal to 1"),
        ({"count": 1001, "vm_name": "a"}, "less than or equal to 1000"),
        ({"count": 2, "vm_name": "a" * 127}, "longer than 128 characters"),
        ({"count": 3, "vm_name": "taken"}, "with these names already: taken-2"),
        ({"count": 1, "vm_name": "taken-2"}, "There is a virtual machine taken-2 already"),
    ],
)
def test_disks_that_cannot_be_made(alice: User, sent: dict[str, Any], words: str) -> None:
    image = an_image(alice)
    a_vm(alice, "taken-2")
    client = signed_in(alice)
    assert words in text_of(client.post(f"/images/{image.pk}/disks/", sent))
    refused = client.post(f"/images/{image.pk}/disks/", sent, headers=JSON)
    assert refused.status_code in {400, 409}
    assert words in refused.json()["error"]
    assert not Job.objects.exists()
    assert VirtualMachine.objects.count() == 1


def test_a_persistent_image_serves_one_machine(alice: User) -> None:
    image = an_image(alice, persistent=True)
    response = signed_in(alice).post(f"/images/{image.pk}/disks/", {"vm_name": "a", "count": 2}, headers=JSON)
    assert response.status_code == 409
    assert "one VM at a time" in response.json()["error"]


def test_a_machine_of_somebody_else_is_no_choice(alice: User, bob: User) -> None:
    image, foreign = an_image(alice), a_vm(bob)
    response = signed_in(alice).post(f"/images/{image.pk}/disks/", {"vm": foreign.pk, "count": 1}, headers=JSON)
    assert response.status_code == 400
    assert not Disk.objects.exists()


def test_asking_for_one_disk_takes_few_queries(alice: User, django_assert_max_num_queries: Any) -> None:
    image, client = an_image(alice), signed_in(alice)
    with django_assert_max_num_queries(40):
        response = client.post(f"/images/{image.pk}/disks/", {"vm_name": "a", "count": 1}, headers=JSON)
    assert response.status_code == 202


# Changes


def test_two_people_do_not_overwrite_each_other(admin: User, operator: User) -> None:
    image = an_image(admin, "old")
    seen = {"version": image.version}
    signed_in(admin).post(f"/images/{image.pk}/rename/", {"name": "first", **seen})
    page = text_of(signed_in(operator).post(f"/images/{image.pk}/rename/", {"name": "second", **seen}))
    image.refresh_from_db()
    assert image.name == "first"
    assert "first was changed by anna on " in page and "(old → first)" in page
    assert f'<a href="/images/{image.pk}/">Load the page again</a>' in page
    assert 'value="second"' in page


def test_making_an_image_persistent_is_audited(alice: User) -> None:
    image = an_image(alice)
    signed_in(alice).post(f"/images/{image.pk}/persistent/", {"on": "1", "version": 0})
    image.refresh_from_db()
    assert image.persistent
    entry = AuditEntry.objects.get(action="image.persistent")
    assert (entry.actor_name, entry.detail) == (
        "alice", {"before": False, "after": True, "row": f"image:{image.pk}"},
    )  # fmt: skip


def test_an_image_in_use_does_not_become_persistent(alice: User) -> None:
    image = an_image(alice)
    a_disk(image, a_vm(alice, "web"))
    response = signed_in(alice).post(f"/images/{image.pk}/persistent/", {"on": "1", "version": 0}, follow=True)
    assert "is used by web" in text_of(response)
    assert response.redirect_chain == [(f"/images/{image.pk}/", 302)]


@pytest.mark.parametrize("version", ["", "²", "٣", "-1", "1.0", "x", "9" * 19])
def test_a_version_that_is_no_number_is_refused(alice: User, version: str) -> None:
    image = an_image(alice)
    sent = {"on": "1", "version": version}
    response = signed_in(alice).post(f"/images/{image.pk}/persistent/", sent, headers=JSON)
    assert response.status_code == 400
    assert "version of the image is missing" in response.json()["error"]
    assert not Image.objects.get().persistent


def test_what_can_never_be_made_is_said_at_the_form(alice: User) -> None:
    sent = {"datastore": a_datastore().pk, "name": "b", "size": "16 MiB", "format": "raw", "filesystem": "xfs"}
    assert "xfs needs at least 300" in text_of(signed_in(alice).post("/images/block/", sent))
    image = an_image(alice, datastore=a_datastore(kind="qcow2"), format="qcow2")
    page = text_of(signed_in(alice).post(f"/images/{image.pk}/snapshots/", {"name": "2026"}))
    assert "more than digits in its name" in page
    assert not Job.objects.exists()


def test_deleting_needs_the_typed_name(alice: User) -> None:
    image, client = an_image(alice, "golden"), signed_in(alice)
    page = text_of(client.post(f"/images/{image.pk}/delete/"))
    assert "golden" in page
    assert "confirm_name" in page
    assert "That is not what is asked for" in text_of(client.post(f"/images/{image.pk}/delete/", {"confirm_name": "x"}))
    assert not Job.objects.exists()
    client.post(f"/images/{image.pk}/delete/", {"confirm_name": "golden"})
    assert Job.objects.get().kind == "image.delete"


def test_deleting_says_that_the_snapshots_go_too(alice: User) -> None:
    image, client = an_image(alice), signed_in(alice)
    for name in ("one", "two"):
        Snapshot.objects.create(image=image, name=name, state="ready")
    lost = f"The image and its bytes in {image.datastore} with 2 snapshots are gone for ever."
    assert lost in text_of(client.post(f"/images/{image.pk}/delete/"))
    assert lost in text_of(client.get(f"/images/{image.pk}/"))


def test_an_image_that_is_needed_is_not_deleted_and_says_by_whom(alice: User) -> None:
    image = an_image(alice, persistent=True)
    a_disk(image, a_vm(alice, "database"), kind="link")
    response = signed_in(alice).post(f"/images/{image.pk}/delete/", {"confirm_name": image.name}, follow=True)
    assert "needed by: VM database" in text_of(response)
    assert not Job.objects.exists()


def test_what_depends_on_an_image_is_a_tree(alice: User, bob: User) -> None:
    image = an_image(alice, "master")
    overlay = an_image(alice, "child", parent=image, datastore=a_datastore(kind="qcow2"))
    a_disk(overlay, a_vm(alice, "the-machine"))
    an_image(bob, "secret-of-bob", parent=image)
    tree = text_of(signed_in(alice).get(f"/images/{image.pk}/")).split('class="tree"')[1].split("It cannot be")[0]
    assert tree.index("master") < tree.index("child") < tree.index("the-machine")
    assert "secret-of-bob" not in tree
    assert "1 image of other people" in tree


def test_nothing_on_the_page_names_what_others_built_on_an_image(alice: User, operator: User) -> None:
    image = an_image(alice, "master", datastore=a_datastore(kind="qcow2"))
    an_image(operator, "secret-image", parent=image, datastore=image.datastore)
    for _ in range(2):
        disk = a_disk(image, a_vm(operator, f"secret-vm-{Disk.objects.count()}"))
    a_job(operator, "disk.create", title=f"Clone master to {disk}", image=image)
    page = text_of(signed_in(alice).get(f"/images/{image.pk}/"))
    assert "secret" not in page
    assert "2 disks of other people" in page.split('class="tree"')[1].split("It cannot be")[0]
    assert "while these need it: 2 disks of other people and 1 image of other people." in page
    assert "secret" not in text_of(signed_in(alice).post(f"/images/{image.pk}/delete/", follow=True))
    assert "secret-vm-1" in text_of(signed_in(operator).get(f"/images/{image.pk}/"))


def test_of_very_many_disks_the_rest_is_counted(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependants, "MOST_DISKS", 3)
    image = an_image(alice, datastore=a_datastore(kind="qcow2"))
    for _ in range(5):
        a_disk(image)
    page = text_of(signed_in(alice).get(f"/images/{image.pk}/")).split('class="tree"')[1].split("It cannot be")[0]
    assert page.count('href="/vms/') == 3
    assert "and 2 more disks" in page


def test_disks_that_do_not_need_the_image_are_counted_and_no_dependants(alice: User) -> None:
    image = an_image(alice, "master")
    for name in ("one-machine", "other-machine"):
        a_disk(image, a_vm(alice, name))
    client = signed_in(alice)
    page = text_of(client.get(f"/images/{image.pk}/"))
    card = page.split("What depends on it")[1].split('id="facts"')[0]
    assert "2 disks were cloned from it; they do not need it." in card
    assert "one-machine" not in card
    asked = text_of(client.post(f"/images/{image.pk}/delete/"))
    assert "2 disks were cloned from it; they do not need it." in asked


def test_an_image_in_error_can_be_tried_again_or_deleted(alice: User) -> None:
    image = an_image(alice, state="error", error="The copy is not there.")
    job = a_job(alice, "image.register", state="failed", image=image)
    page = text_of(signed_in(alice).get(f"/images/{image.pk}/")).split("<main")[1]
    assert re.findall(r'action="/images/\d+/([a-z-]+)/', page) == ["delete"]
    assert f'<a href="/jobs/{job.uuid}/">try the job that failed again</a>' in page


def test_a_clone_is_made_of_what_one_may_see(alice: User) -> None:
    image = an_image(alice)
    signed_in(alice).post(f"/images/{image.pk}/clone/", {"name": "copy", "source": "999"})
    assert Job.objects.get().params["source"] == image.pk


def test_shrinking_is_refused_at_the_form(alice: User) -> None:
    image = an_image(alice)
    page = text_of(signed_in(alice).post(f"/images/{image.pk}/resize/", {"size": "1 GiB"}))
    assert "can only grow" in page
    assert 'value="1 GiB"' in page


def test_growing_and_the_checksum_become_jobs(alice: User) -> None:
    image = an_image(alice)
    signed_in(alice).post(f"/images/{image.pk}/resize/", {"size": "30 GiB"})
    assert Job.objects.get().params["size"] == 30 * GIB
    other = an_image(alice)
    signed_in(alice).post(f"/images/{other.pk}/checksum/")
    assert Job.objects.filter(kind="image.checksum", image=other).exists()


def test_moving_offers_other_datastores_only(alice: User) -> None:
    image = an_image(alice, datastore=a_datastore("here"))
    there = a_datastore("there", hosts=[image.datastore.hosts.get()])
    a_datastore("system", type="system")
    page = text_of(signed_in(alice).get(f"/images/{image.pk}/"))
    choices = page.split("To datastore")[1].split("</select>")[0]
    assert "there" in choices
    assert "here</option>" not in choices.replace("there</option>", "")
    assert "system" not in choices
    signed_in(alice).post(f"/images/{image.pk}/move/", {"datastore": there.pk})
    assert Job.objects.get().datastore == there


def test_a_move_may_wait_for_the_window_where_there_is_one(alice: User) -> None:
    image = an_image(alice, datastore=a_datastore("here"))
    there = a_datastore("there", hosts=[image.datastore.hosts.get()])
    client, url = signed_in(alice), f"/images/{image.pk}/"
    assert "in the window" not in text_of(client.get(url))
    SettingsSection.objects.create(
        name="transfers", values={"transfer_window": "22:00-06:00"}, changed_at=timezone.now()
    )
    settings.forget()
    assert "From 22:00-06:00" in text_of(client.get(url))
    with time_machine.travel("2026-11-22 14:00:00+00:00", tick=False):
        client.post(f"{url}move/", {"datastore": there.pk, "later": "on"})
    job = Job.objects.get()
    assert job.not_before == datetime(2026, 11, 22, 22, tzinfo=UTC)


@pytest.mark.parametrize(("given", "limit"), [("50", 50 << 20), ("", None)])
def test_a_move_may_be_held_back(alice: User, given: str, limit: int | None) -> None:
    hosts = [a_host(name, address=f"10.0.0.{number}") for number, name in enumerate(("nas", "node"), 1)]
    for host in hosts:
        HostKey.objects.create(host=host, line=KEY, fingerprint=host.name, pinned_at=timezone.now())
    image = an_image(alice, datastore=a_datastore("here", hosts=hosts[:1]))
    there = a_datastore("there", hosts=hosts[1:])
    signed_in(alice).post(f"/images/{image.pk}/move/", {"datastore": there.pk, "limit": given})
    assert Job.objects.get().params.get("limit") == limit


def test_a_move_within_one_host_is_not_said_to_be_held_back(alice: User) -> None:
    image = an_image(alice, datastore=a_datastore("here"))
    there = a_datastore("there", hosts=[image.datastore.hosts.get()])
    answer = signed_in(alice).post(f"/images/{image.pk}/move/", {"datastore": there.pk, "limit": "50"})
    assert "a copy on one host is never held back: leave the limit empty" in text_of(answer)
    assert not Job.objects.exists()


def test_a_limit_of_nothing_is_no_limit(alice: User) -> None:
    image = an_image(alice, datastore=a_datastore("here"))
    there = a_datastore("there", hosts=[image.datastore.hosts.get()])
    page = signed_in(alice).post(f"/images/{image.pk}/move/", {"datastore": there.pk, "limit": "0"})
    assert "greater than or equal to 1" in text_of(page) and not Job.objects.exists()


def test_snapshots(alice: User) -> None:
    image, client = an_image(alice), signed_in(alice)
    client.post(f"/images/{image.pk}/snapshots/", {"name": "before update"})
    assert Job.objects.get().title == f"Take snapshot before update of {image.name}"
    other = an_image(alice)
    snapshot = Snapshot.objects.create(image=other, name="gold", state="ready")
    url = f"/images/{other.pk}/snapshots/{snapshot.pk}/revert/"
    assert "What was written since then is lost" in text_of(client.post(url))
    client.post(url, {"confirm_name": "gold"})
    assert Job.objects.filter(kind="snapshot.revert", snapshot=snapshot).exists()
    assert client.post(f"/images/{image.pk}/snapshots/{snapshot.pk}/delete/").status_code == 404


def test_a_kind_without_snapshots_offers_none(alice: User) -> None:
    image = an_image(alice, format="raw", datastore=a_datastore(kind="shared"))
    assert "Take snapshot" not in text_of(signed_in(alice).get(f"/images/{image.pk}/"))


def test_names_are_text_and_never_markup(admin: User) -> None:
    image = an_image(admin, "<img src=x onerror=alert(1)>", source="</script><script>alert(1)</script>")
    for path in ("/images/", f"/images/{image.pk}/", "/find/?q=img"):
        page = text_of(signed_in(admin).get(path))
        assert "<img src=x" not in page
        assert "<script>alert" not in page

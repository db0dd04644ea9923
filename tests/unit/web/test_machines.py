"""Virtual machines and disks."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from datastores.models import AuditEntry, Job, User, VirtualMachine
from tests.unit.conftest import a_datastore, a_disk, a_host, a_job, a_vm, an_image, signed_in, text_of


def test_a_new_machine(alice: User) -> None:
    client = signed_in(alice)
    response = client.post("/vms/new/", {"name": "web"})
    vm = VirtualMachine.objects.get()
    assert response.url == f"/vms/{vm.pk}/"
    assert vm.owner == alice
    assert "There is a virtual machine web already" in text_of(client.post("/vms/new/", {"name": "web"}))


def test_what_a_machine_does_is_noted(alice: User) -> None:
    vm = a_vm(alice)
    signed_in(alice).post(f"/vms/{vm.pk}/state/", {"state": "running"})
    vm.refresh_from_db()
    assert vm.state == "running"
    response = signed_in(alice).post(f"/vms/{vm.pk}/state/", {"state": "flying"}, follow=True)
    assert "is not a state of a virtual machine" in text_of(response)


def test_a_machine_whose_disk_is_being_moved_is_not_noted_to_run(alice: User) -> None:
    host = a_host()
    disk = a_disk(an_image(alice, datastore=a_datastore(hosts=[host])), a_vm(alice, "web"))
    client = signed_in(alice)
    client.post(f"/disks/{disk.pk}/move/", {"datastore": a_datastore(hosts=[host]).pk})
    page = text_of(client.post(f"/vms/{disk.vm_id}/state/", {"state": "running"}, follow=True))
    assert f"in use by job {Job.objects.get().pk} (Move web disk.0 to" in page
    assert VirtualMachine.objects.get().state == "off"


def test_what_others_made_of_ones_disk_is_not_told(alice: User, operator: User) -> None:
    disk = a_disk(an_image(alice), a_vm(alice, "web"))
    for user, name in ((operator, "secret"), (alice, "my-own")):
        a_job(user, "disk.save", title=f"Save web disk.0 as image {name}", disk=disk, vm=disk.vm)
    for path in (f"/vms/{disk.vm_id}/", f"/disks/{disk.pk}/"):
        page = text_of(signed_in(alice).get(path))
        assert "my-own" in page
        assert "secret" not in page
        assert "secret" in text_of(signed_in(operator).get(path))


def test_adding_a_disk(alice: User) -> None:
    vm, image = a_vm(alice), an_image(alice)
    signed_in(alice).post(f"/vms/{vm.pk}/disks/", {"image": image.pk})
    assert vm.disks.get().image == image


def test_an_image_of_somebody_else_is_no_choice(alice: User, bob: User) -> None:
    vm, image = a_vm(alice), an_image(bob)
    page = text_of(signed_in(alice).post(f"/vms/{vm.pk}/disks/", {"image": image.pk}))
    assert "Select a valid choice" in page
    assert not Job.objects.exists()


def test_a_machine_with_disks_stays(alice: User) -> None:
    disk = a_disk(an_image(alice))
    response = signed_in(alice).post(f"/vms/{disk.vm_id}/delete/", {"confirm_name": disk.vm.name}, follow=True)
    assert "still has 1 disk. Delete it first." in text_of(response)
    assert VirtualMachine.objects.exists()


def test_a_machine_without_disks_goes(alice: User) -> None:
    vm = a_vm(alice, "web")
    signed_in(alice).post(f"/vms/{vm.pk}/delete/", {"confirm_name": "web"})
    assert not VirtualMachine.objects.exists()
    assert AuditEntry.objects.get(action="vm.delete").target == "web"


def test_saving_a_disk_of_a_running_machine_is_refused_at_the_form(alice: User) -> None:
    disk = a_disk(an_image(alice), a_vm(alice, "web", state="running"))
    sent = {"name": "saved", "datastore": disk.datastore_id}
    page = text_of(signed_in(alice).post(f"/disks/{disk.pk}/save/", sent))
    assert "only after a clean shutdown" in page
    assert 'value="saved"' in page


def test_saving_moving_and_deleting_a_disk_become_jobs(alice: User) -> None:
    image = an_image(alice)
    there = a_datastore(hosts=[image.datastore.hosts.get()])
    client = signed_in(alice)
    saved, moved, deleted = (a_disk(image) for _ in range(3))
    client.post(f"/disks/{saved.pk}/save/", {"name": "saved", "datastore": image.datastore_id})
    client.post(f"/disks/{moved.pk}/move/", {"datastore": there.pk})
    assert "gone for ever" in text_of(client.post(f"/disks/{deleted.pk}/delete/"))
    client.post(f"/disks/{deleted.pk}/delete/", {"confirm_name": str(deleted)})
    assert list(Job.objects.order_by("pk").values_list("kind", "disk")) == [
        ("disk.save", saved.pk),
        ("disk.move", moved.pk),
        ("disk.delete", deleted.pk),
    ]


def test_a_disk_has_its_path(alice: User) -> None:
    disk = a_disk(an_image(alice))
    for page in (f"/disks/{disk.pk}/", f"/vms/{disk.vm_id}/"):
        assert f"{disk.datastore.base}/{disk.vm_id}/disk.0" in text_of(signed_in(alice).get(page))


def test_the_paths_of_many_disks_take_no_query_each(alice: User, django_assert_num_queries: Any) -> None:
    here, there, vm = a_datastore(), a_datastore(), a_vm(alice)
    for datastore in (here, there):
        a_disk(an_image(alice, datastore=datastore), vm)
    page, client = f"/vms/{vm.pk}/", signed_in(alice)
    with CaptureQueriesContext(connection) as two:
        client.get(page)
    for datastore in (here, there) * 5:
        a_disk(an_image(alice, datastore=datastore), vm)
    with django_assert_num_queries(len(two)):
        text = text_of(client.get(page))
    for disk in vm.disks.all():
        assert f"{disk.datastore.base}/{vm.pk}/disk.{disk.number}" in text

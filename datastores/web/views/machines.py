"""Virtual machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.forms import BaseForm
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.generic import DetailView

from datastores.models import Disk, User, VirtualMachine
from datastores.services import vms
from datastores.services.placing import with_paths
from datastores.web.access import EVERYBODY, OWNERS, Request, client_address, roles, visible
from datastores.web.acting import ask_name, done, start, started
from datastores.web.forms.base import attempt
from datastores.web.forms.images import on_host
from datastores.web.forms.machines import BlockDiskForm, DiskForm, MachineForm
from datastores.web.lists.acts import Act
from datastores.web.lists.columns import Column, Filter
from datastores.web.lists.fields import Anywhere, Choice, Moment, Number, Owning, Size, Text
from datastores.web.lists.rows import Rows
from datastores.web.lists.sums import count_of, sum_of
from datastores.web.timeline import timeline_of

OWNER = Owning(User.objects.all(), "owner", Text(("username",), "owner:alice"))


def noting(state: str) -> Callable[[Request, VirtualMachine], None]:
    """Return what notes that a VM is in a state."""
    return lambda request, vm: vms.set_vm_state(vm, state, request.user, client_address(request))


def forget(request: Request, vm: VirtualMachine) -> None:
    vms.delete_vm(vm, request.user, client_address(request))


@roles(read=EVERYBODY, write=OWNERS)
class MachineList(Rows):
    model = VirtualMachine
    noun = "virtual machine,virtual machines"
    resource = "vm"
    acts = (
        Act("off", "Note: off", "power", noting(VirtualMachine.State.OFF), "are noted to be off"),
        Act("running", "Note: running", "play-fill", noting(VirtualMachine.State.RUNNING), "are noted to run"),
        Act("delete", "Delete", "trash", forget, "are deleted",
            lost="cloudstore forgets these machines. Those that still have disks are left alone."),
    )  # fmt: skip
    template_name = "datastores/vm_list.html"
    row_template = "datastores/_vm_row.html"
    same_for_all = True
    related = ("owner",)
    figures: ClassVar = {
        "disk_count": count_of(Disk.objects.all(), "vm"),
        "disk_size": sum_of(Disk.objects.all(), "vm", "virtual_size"),
    }
    name = "machines"
    search = Anywhere((Text(("name",), "web"), OWNER), "web")
    fields = {
        "name": Text(("name",), "name:web"),
        "state": Choice("state", {value: value for value in VirtualMachine.State.values}, "state:off"),
        "disks": Number("disk_count", "disks>1", int),
        "size": Size("disk_size", "size>100G"),
        "owner": OWNER,
        "since": Moment("created_at", "since<7d"),
    }
    default_sort = "-id"
    filters = (Filter("state", "state", tuple(VirtualMachine.State.choices)),)
    columns = (
        Column("id", "ID", "pk", "pk", number=True),
        Column("name", "Name", "name", "name"),
        Column("state", "State", "state", "state"),
        Column("disks", "Disks", "disk_count", "disk_count", number=True),
        Column("size", "Size", "disk_size", "disk_size", number=True),
        Column("owner", "Owner", "owner__username", "owner.username"),
        Column("since", "Since", "created_at", "created_at"),
    )


def machine_page(request: Request, vm: VirtualMachine, form: BaseForm | None = None) -> HttpResponse:
    """Show a VM; ``form``: the one for another disk, or for an empty one, when it was sent and refused."""
    empty = form if isinstance(form, BlockDiskForm) else BlockDiskForm(user=request.user)
    context = {
        "object": vm,
        "disks": with_paths(vm.disks.select_related("image", "datastore", "vm", "host")),
        "form": form if isinstance(form, DiskForm) else DiskForm(user=request.user),
        "empty": empty,
        "states": VirtualMachine.State.values,
        "jobs": vm.jobs.visible_to(request.user).order_by("-pk")[:8],
        **timeline_of(request.user, vm),
        "mine": request.user.role in OWNERS,
    }
    return render(request, "datastores/vm.html", context)


@roles(read=EVERYBODY)
class MachinePage(DetailView):
    request: Request

    def get(self, request: Request, pk: int) -> HttpResponse:  # type: ignore[override]
        return machine_page(request, visible(request, VirtualMachine, "owner", pk=pk))


@roles(read=OWNERS, write=OWNERS)
def vm_new(request: Request) -> HttpResponse:
    form = MachineForm(request.POST or None)

    def act(data: dict[str, Any]) -> HttpResponse:
        vm = vms.create_vm(data["name"], request.user, client_address(request))
        return redirect("vm", vm.pk)

    return attempt(request, form, act, lambda: render(request, "datastores/vm_form.html", {"form": form}))


@roles(write=OWNERS)
def vm_state(request: Request, pk: int) -> HttpResponse:
    vm = visible(request, VirtualMachine, pk=pk)
    state = request.POST.get("state", "")
    vms.set_vm_state(vm, state, request.user, client_address(request), seen=request.POST.get("seen", ""))
    return done(request, f"It is noted that {vm} is {state}.", "vm", pk)


@roles(write=OWNERS)
def vm_disks(request: Request, pk: int) -> HttpResponse:
    vm = visible(request, VirtualMachine, "owner", pk=pk)
    form = DiskForm(request.POST, user=request.user)

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "disk.create", on_host(data), image=data["image"], vm=vm))

    return attempt(request, form, act, lambda: machine_page(request, vm, form))


@roles(write=OWNERS)
def vm_blocks(request: Request, pk: int) -> HttpResponse:
    """Give the VM an empty disk, or swap."""
    vm = visible(request, VirtualMachine, "owner", pk=pk)
    form = BlockDiskForm(request.POST, user=request.user)

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "disk.block", form.params(), vm=vm, datastore=data["datastore"]))

    return attempt(request, form, act, lambda: machine_page(request, vm, form))


@roles(write=OWNERS)
def vm_delete(request: Request, pk: int) -> HttpResponse:
    vm = visible(request, VirtualMachine, pk=pk)
    vms.require_no_disks(vm)
    if asked := ask_name(request, vm.name, "cloudstore forgets this machine."):
        return asked
    vms.delete_vm(vm, request.user, client_address(request))
    return done(request, f"{vm} is deleted.", "vm-list")

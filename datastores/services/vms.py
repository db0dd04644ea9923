"""Virtual machines: what is known of them here, until a hypervisor tells."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused
from datastores.models import Disk, Image, Job, User, VirtualMachine
from datastores.models.audit import Deed, in_turn, record, record_all
from datastores.services import leases
from datastores.services.dependants import LINKED
from datastores.services.since import about, by_whom
from datastores.services.viewers import MOST_NAMES


def create_vm(name: str, owner: User, address: str = "") -> VirtualMachine:
    """Make a virtual machine without disks.

    :raises BadInput: the name is not acceptable, or the owner has a VM of this name.
    """
    return create_vms([name], owner, address)[0]


def create_vms(names: Iterable[str], owner: User, address: str = "") -> list[VirtualMachine]:
    """Make virtual machines without disks: all of them, or none.

    :raises BadInput: a name is not acceptable, or given twice, or the owner has a VM of this name.
    """
    vms = [VirtualMachine(name=values.object_name(name), owner=owner) for name in names]
    wanted = {vm.name for vm in vms}
    if len(wanted) < len(vms):
        raise BadInput("Two of the virtual machines would have the same name.")
    with in_turn():
        require_free_vm_names(wanted, owner)
        VirtualMachine.objects.bulk_create(vms)
        record_all(Deed(action="vm.create", user=owner, address=address, target=vm, result="done") for vm in vms)
    return vms


def require_free_vm_names(names: Collection[str], owner: User) -> None:
    """Raise BadInput when the owner has a virtual machine of one of these names."""
    taken = VirtualMachine.objects.filter(owner=owner, name__in=names).order_by("name").values_list("name", flat=True)
    if first := list(taken[:MOST_NAMES]):
        raise BadInput(
            f"There is a virtual machine {first[0]} already." if len(names) == 1
            else f"There are virtual machines with these names already: {', '.join(first)}."
        )  # fmt: skip


def require_no_disks(vm: VirtualMachine) -> None:
    if count := vm.disks.count():
        what = "1 disk. Delete it" if count == 1 else f"{count} disks. Delete them"
        raise Refused(f"{vm.name} still has {what} first.")


def delete_vm(vm: VirtualMachine, user: User, address: str = "") -> None:
    """Forget a virtual machine that has no disks any more."""
    with in_turn():
        require_no_disks(vm)
        record("vm.delete", user=user, address=address, target=vm, result="done")
        vm.delete()


def forget_unused(vm: VirtualMachine, job: Job) -> None:
    """Forget a virtual machine that the job made for its disk, when it has none any more.

    Whoever had the job stopped or taken back is named in the entry about that. Belongs into the caller's turn.
    """
    if vm.state == VirtualMachine.State.OFF and not vm.disks.exists():
        record("vm.delete", user=None, target=vm, job=job, result="done")
        vm.delete()


def set_vm_state(vm: VirtualMachine, state: str, user: User, address: str = "", *, seen: str = "") -> None:
    """Note what the VM does: its disks are saved only after a clean shutdown ("off").

    ``seen``: what the person saw noted; "": that does not matter.

    :raises Refused: it is gone, or something else was noted meanwhile.
    :raises Busy: it would run while a job works on one of its disks; the message says which.
    """
    if state not in VirtualMachine.State.values:
        raise BadInput(f"{state!r} is not a state of a virtual machine.")
    with in_turn():
        before = VirtualMachine.objects.filter(pk=vm.pk).values_list("state", flat=True).first()
        if before is None:
            raise Refused(f"{vm.name} is gone.")
        if seen and seen != before:
            noted = about(f"vm:{vm.pk}").filter(action="vm.state").first()
            raise Refused(f"{vm.name} is noted to be {before}{by_whom(noted)}, not {seen}. Nothing was changed.")
        if state == VirtualMachine.State.RUNNING:
            leases.require_unheld(bytes_of(vm), user)
        if state != VirtualMachine.State.OFF:  # it writes to them, or has done so
            Image.objects.filter(pk__in=vm.disks.filter(LINKED).values("image")).update(**Image.WRITTEN)
        VirtualMachine.objects.filter(pk=vm.pk).update(state=state)
        record("vm.state", user=user, address=address, target=vm, result="done", before=before, after=state)


def bytes_of(vm: VirtualMachine) -> list[str]:
    """Return the resources that the VM writes to while it runs: its disks, and the images that some of them are."""
    disks = vm.disks.values_list("pk", "kind", "image")
    return [f"disk:{disk}" for disk, _, _ in disks] + [
        f"image:{image}" for _, kind, image in disks if kind == Disk.Kind.LINK
    ]

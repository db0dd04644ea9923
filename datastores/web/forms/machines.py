"""Virtual machines and their disks."""

from __future__ import annotations

from typing import Any

from django import forms

from datastores.domain.states import ObjectState
from datastores.domain.volumes import Capability, Format
from datastores.drivers.registry import driver_class
from datastores.hosts.blocks import Filesystem
from datastores.models import Datastore, Disk, Host, Image, User, VirtualMachine
from datastores.services.disk_places import is_silent
from datastores.web.forms.base import Form, NameField, RowField, SizeField
from datastores.web.forms.images import OnField, RateField, offer_hosts, on_host, places, rate_limit


class MachineForm(Form):
    name = NameField()


class DiskForm(Form):
    """One more disk for a virtual machine."""

    image = RowField(Image.objects.none(), empty_label=None)
    on = OnField()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        images = Image.objects.visible_to(user).filter(state=ObjectState.READY)
        self.fields["image"].queryset = images  # type: ignore[attr-defined]
        offer_hosts(self, user)


class BlockDiskForm(Form):
    """An empty disk for a virtual machine."""

    size = SizeField(help_text="Only as much as is written later takes room.")
    filesystem = forms.ChoiceField(
        required=False, label="File system", choices=[(each.value, each.value or "none") for each in Filesystem],
        help_text="swap: a disk that the machine swaps to.",
    )  # fmt: skip
    format = forms.ChoiceField(choices=[(Format.RAW.value, "raw"), (Format.QCOW2.value, "qcow2")])
    datastore = forms.ModelChoiceField(Datastore.objects.none(), empty_label=None)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = places(user, Datastore.Type.SYSTEM, Datastore.Type.IMAGE)
        self.fields["datastore"].queryset = found  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        """Return the parameters of the job."""
        return {name: self.cleaned_data[name] for name in ("size", "filesystem", "format")}


class LargerDiskForm(Form):
    size = SizeField(label="New size", help_text="A disk can only grow.")


class HostOfDiskForm(Form):
    """Another host for a disk that is used on one."""

    on = RowField(Host.objects.none(), label="On host", empty_label=None)
    limit = RateField()
    lost = forms.BooleanField()

    def __init__(self, *args: Any, user: User, disk: Disk, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hosts: Any = Host.objects
        offered = hosts.visible_to(user).filter(datastores=disk.datastore_id).exclude(pk=disk.host_id)
        self.fields["on"].queryset = offered  # type: ignore[attr-defined]
        self.has_hosts = disk.host_id is not None and offered.exists()
        if Capability.ATTACH in driver_class(disk.datastore.kind).can:
            del self.fields["limit"]
        if not is_silent(disk):
            del self.fields["lost"]
        else:
            self.fields["lost"].label = f"{disk.host} is gone for good, and nothing runs there any more"
            self.fields["lost"].help_text = "It does not answer. Should it come back, it is not let in to the disk."

    def params(self) -> dict[str, Any]:
        """Return the parameters of the job."""
        lost = {"lost": True} if self.cleaned_data.get("lost") else {}
        return on_host(self.cleaned_data) | rate_limit(self.cleaned_data) | lost


class TakerForm(Form):
    """The machine that a disk is given to."""

    vm = RowField(VirtualMachine.objects.none(), label="To virtual machine", empty_label=None)

    def __init__(self, *args: Any, user: User, without: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = VirtualMachine.objects.visible_to(user).exclude(pk=without)
        self.fields["vm"].queryset = others  # type: ignore[attr-defined]

    @property
    def has_takers(self) -> bool:
        found: bool = self.fields["vm"].queryset.exists()  # type: ignore[attr-defined]
        return found


class SaveForm(Form):
    """Where to save a disk as an image."""

    name = NameField(label="Name of the image")
    datastore = forms.ModelChoiceField(Datastore.objects.none(), empty_label=None)
    limit = RateField()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["datastore"].queryset = places(user, Datastore.Type.IMAGE)  # type: ignore[attr-defined]

"""Virtual machines and their disks."""

from __future__ import annotations

from typing import Any

from django import forms

from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format
from datastores.hosts.blocks import Filesystem
from datastores.models import Datastore, Image, User, VirtualMachine
from datastores.web.forms.base import Form, NameField, RowField, SizeField
from datastores.web.forms.images import OnField, RateField, offer_hosts, places


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

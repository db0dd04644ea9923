"""Images: register, make, change, and make disks of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from datastores.domain import values
from datastores.domain.errors import BadInput
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format
from datastores.domain.windows import window
from datastores.drivers.registry import DRIVERS
from datastores.hosts.blocks import Filesystem
from datastores.models import Datastore, Host, Image, User, VirtualMachine
from datastores.services import settings
from datastores.services.disk_hosts import ON_ONE_HOST
from datastores.services.images import check_source, source_directories
from datastores.web.forms.base import CheckedField, Form, NameField, RowField, SizeField

MOST_DISKS = 1000
MOST_RATE = 100_000
"""MiB/s."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
PERSISTENT = "VMs use the image itself, one at a time, instead of a clone of it."


def places(user: User, *types: str) -> QuerySet[Datastore]:
    """Return the datastores that can take something new."""
    rows: Any = Datastore.objects
    ready: QuerySet[Datastore] = rows.visible_to(user).filter(state=ObjectState.READY, type__in=types)
    return ready.exclude(kind__in=[kind for kind, driver in DRIVERS.items() if driver.has_luns]).order_by("name")


class PlacedForm(Form):
    """Something new in a datastore."""

    datastore = forms.ModelChoiceField(Datastore.objects.none(), empty_label=None)
    name = NameField()
    types: tuple[str, ...] = (Datastore.Type.IMAGE, Datastore.Type.FILE)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["datastore"].queryset = places(user, *self.types)  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        """Return the parameters of the job: JSON data."""
        return {name: value for name, value in self.cleaned_data.items() if name != "datastore"}


class RegisterForm(PlacedForm):
    source = CheckedField(
        lambda text: values.absolute_path(text, "The source"), label="Source path", mono=True,
        help_text="A file on the datastore's storage host. It is inspected before any tool sees it, then copied.",
    )  # fmt: skip
    type = forms.ChoiceField(choices=Image.Type, initial=Image.Type.OS)
    format = forms.ChoiceField(
        required=False, choices=[("", "by the ending of its name"), *((each.value, each.value) for each in Format)],
        help_text="A file that turns out to be something else is refused.",
    )  # fmt: skip
    persistent = forms.BooleanField(required=False, label="Persistent", help_text=PERSISTENT)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        source = self.fields["source"]
        source.help_text = f"{source.help_text} {where_from(self.fields['datastore'].queryset)}"  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("datastore") and data.get("source"):
            try:
                check_source(data["datastore"], data["source"])
            except BadInput as error:
                self.add_error("source", str(error))
        return data


def where_from(datastores: Iterable[Datastore]) -> str:
    """Return in words from which directories images may be registered, for each datastore where they differ."""
    allowed = {each.name: " or ".join(source_directories(each)) for each in datastores}
    if len(set(allowed.values())) == 1:
        return f"It has to lie below {next(iter(allowed.values()))}."
    places = "; ".join(f"{directories} for {name}" for name, directories in allowed.items())
    return f"It has to lie below {places}." if places else ""


class BlockForm(PlacedForm):
    size = SizeField(help_text="Only as much as is written later takes room.")
    format = forms.ChoiceField(choices=[(Format.RAW.value, "raw"), (Format.QCOW2.value, "qcow2")])
    filesystem = forms.ChoiceField(
        required=False, label="File system", choices=[(each.value, each.value or "none") for each in Filesystem]
    )
    persistent = forms.BooleanField(required=False, label="Persistent", help_text=PERSISTENT)


class ContextForm(PlacedForm):
    variables = forms.CharField(
        max_length=100_000, strip=False,
        widget=forms.Textarea(attrs={"class": "mono", "rows": 8, "placeholder": "HOSTNAME=web-1\nIP=172.16.219.100"}),
        help_text="One KEY=VALUE a line. The VM reads them from the CD when it boots.",
    )  # fmt: skip

    def clean_variables(self) -> dict[str, str]:
        return read_variables(self.cleaned_data["variables"])


def read_variables(text: str) -> dict[str, str]:
    """Return the variables of KEY=VALUE lines. Raises ValidationError that names the line."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not _VARIABLE.match(name):
            raise ValidationError(f"Line {number} is not KEY=VALUE with a key of letters, digits and _.")
        if name in found:
            raise ValidationError(f"Line {number}: {name} is there twice.")
        found[name] = value.strip()
    if not found:
        raise ValidationError("There is no variable.")
    return found


class ImageNameForm(Form):
    """A name for a copy of an image."""

    name = NameField(label="Name of the new image")


class RenameForm(Form):
    name = NameField(label="New name")
    version = forms.IntegerField(widget=forms.HiddenInput)


class ResizeForm(Form):
    size = SizeField(label="New size", help_text="An image can only grow.")


class HeirForm(Form):
    """Which clone takes the place of an image. ``heirs``: what is sent, and what is read."""

    heir = forms.ChoiceField(label="Takes its place", choices=())

    def __init__(self, *args: Any, heirs: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["heir"].choices = list(heirs.items())  # type: ignore[attr-defined]


class SnapshotForm(Form):
    name = NameField(label="Name of the snapshot")


def offer_hosts(form: forms.Form, user: User) -> None:
    """Ask on which host a disk is to be used, where there are datastores for which that matters."""
    places_ = places(user, Datastore.Type.IMAGE, Datastore.Type.SYSTEM).filter(kind__in=ON_ONE_HOST)
    hosts: Any = Host.objects
    offered = hosts.visible_to(user).filter(datastores__in=places_).distinct()
    form.fields["on"].queryset = offered  # type: ignore[attr-defined]
    if not offered.exists():
        del form.fields["on"]


class OnField(RowField):
    """The host on which a disk is to be used."""

    def __init__(self) -> None:
        super().__init__(
            Host.objects.none(), required=False, label="On host", empty_label="the one with the fewest disks",
            help_text="Where the machine is to run, in datastores whose disks are used on one host each.",
        )  # fmt: skip


def on_host(data: dict[str, Any]) -> dict[str, Any]:
    """Return the host that was chosen for a disk, as parameters of its job."""
    return {"on": data["on"].pk} if data.get("on") else {}


class RateField(forms.IntegerField):
    """How fast a transfer between hosts may be, in MiB/s."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = (
            "Between hosts, over SSH. Empty: as fast as it goes. Where one host sees both datastores, leave it empty."
        )
        super().__init__(
            required=False, min_value=1, max_value=MOST_RATE, label="At most MiB/s", help_text=help_text, **kwargs
        )


def rate_limit(data: dict[str, Any]) -> dict[str, Any]:
    """Return the limit that was given for a transfer, in bytes in a second, as parameters of its job."""
    return {"limit": data["limit"] << 20} if data.get("limit") else {}


class PlaceForm(Form):
    """Another datastore for something."""

    datastore = forms.ModelChoiceField(Datastore.objects.none(), label="To datastore", empty_label=None)
    limit = RateField()
    later = forms.BooleanField(required=False, label="Begin in the window for transfers")

    def __init__(self, *args: Any, user: User, types: tuple[str, ...], without: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["datastore"].queryset = places(user, *types).exclude(pk=without)  # type: ignore[attr-defined]
        if hours := settings.value("transfer_window"):
            self.fields["later"].help_text = f"From {hours}; what it moves stays held until it has ended."
        else:
            del self.fields["later"]

    def not_before(self) -> datetime | None:
        """Return when the move may begin; None: at once."""
        if not self.cleaned_data.get("later"):
            return None
        return window(settings.value("transfer_window")).next_opening(timezone.localtime())

    def params(self) -> dict[str, Any]:
        """Return the parameters of the move."""
        return rate_limit(self.cleaned_data)

    @property
    def has_places(self) -> bool:
        found: bool = self.fields["datastore"].queryset.exists()  # type: ignore[attr-defined]
        return found


class DisksForm(Form):
    """Disks of an image: one for a VM, or as many new VMs with one each."""

    vm_name = NameField(label="New virtual machine", required=False, help_text="With more than one: name-1, name-2 ...")
    vm = RowField(VirtualMachine.objects.none(), required=False, label="or an existing one", empty_label="none")
    count = forms.IntegerField(label="How many", min_value=1, max_value=MOST_DISKS, initial=1)
    datastore = forms.ModelChoiceField(
        Datastore.objects.none(), required=False, label="Datastore", empty_label="where the image is"
    )
    on = OnField()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["vm"].queryset = VirtualMachine.objects.visible_to(user)  # type: ignore[attr-defined]
        places_ = places(user, Datastore.Type.IMAGE, Datastore.Type.SYSTEM)
        self.fields["datastore"].queryset = places_  # type: ignore[attr-defined]
        offer_hosts(self, user)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if bool(data.get("vm")) == bool(data.get("vm_name")) and not self.errors:
            raise ValidationError("Name a new virtual machine, or choose one.")
        if data.get("vm") and data.get("count", 1) > 1:
            raise ValidationError("Several disks at once are for new virtual machines, one each.")
        return data

    def names(self) -> list[str]:
        """Return the names of the new virtual machines.

        :raises BadInput: one of them would be too long.
        """
        name, count = self.cleaned_data["vm_name"], self.cleaned_data["count"]
        if count == 1:
            return [name]
        if len(f"{name}-{count}") > values.NAME_MAX:
            raise BadInput(f"{name}-{count} is longer than {values.NAME_MAX} characters.")
        return [f"{name}-{number}" for number in range(1, count + 1)]

"""Virtual machines and their disks."""

from __future__ import annotations

from typing import Any

from django import forms

from datastores.domain.states import ObjectState
from datastores.models import Datastore, Image, User
from datastores.web.forms.base import Form, NameField, RowField
from datastores.web.forms.images import OnField, offer_hosts, places


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


class SaveForm(Form):
    """Where to save a disk as an image."""

    name = NameField(label="Name of the image")
    datastore = forms.ModelChoiceField(Datastore.objects.none(), empty_label=None)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["datastore"].queryset = places(user, Datastore.Type.IMAGE)  # type: ignore[attr-defined]

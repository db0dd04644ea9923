"""A directory of a host that is to move onto a datastore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from datastores.models import Datastore
from datastores.services.directories import movable_path, place_name
from datastores.web.forms.base import CheckedField, Form


class MoveDirectoryForm(Form):
    path = CheckedField(
        movable_path, mono=True, label="Directory", initial="/var/lib/one",
        help_text="Of this host, such as /var/lib/one or /var/lib/nova/instances. It is no mount, and holds none.",
    )  # fmt: skip
    datastore = forms.ModelChoiceField(
        Datastore.objects.none(), empty_label=None, help_text="Those that this host sees."
    )
    name = CheckedField(
        place_name, mono=True, label="Name in the datastore", initial="one",
        help_text="It lies there beside images and disks; the link leads to it.",
    )  # fmt: skip
    services = forms.CharField(
        required=False, label="Services to stop meanwhile", widget=forms.Textarea(attrs={"class": "mono", "rows": 3}),
        help_text="One a line, such as opennebula.service. They are started again. Whoever else has files open there "
        "is named, and nothing is moved.",
    )  # fmt: skip
    join = forms.BooleanField(
        required=False, label="Share what another host has moved there",
        help_text="Nothing is copied: the link leads to what is there already. What only this host has stays in the "
        "directory that is kept.",
    )  # fmt: skip

    def __init__(self, datastores: Sequence[Datastore], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Datastore.objects.filter(pk__in=[each.pk for each in datastores]).order_by("name")
        self.fields["datastore"].queryset = rows  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        """Return the parameters of the job."""
        data = self.cleaned_data
        kept = {name: data[name] for name in ("path", "name", "join")}
        return kept | {"services": data["services"].splitlines()}

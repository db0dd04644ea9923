"""What is to be copied to the caches of hosts before it is needed."""

from __future__ import annotations

from django import forms

from datastores.domain.errors import BadInput
from datastores.models import Datastore, Host, Image
from datastores.services.caching import cacheable, uncached
from datastores.services.placing import hosts_of
from datastores.web.forms.base import Form

MOST = 200
"""Copies that are asked for at once."""


class WarmForm(Form):
    """Which images, and where to."""

    images = forms.ModelMultipleChoiceField(
        Image.objects.none(), help_text="Images that are not persistent, of any datastore. Several can be chosen."
    )
    hosts = forms.ModelMultipleChoiceField(
        Host.objects.none(), widget=forms.CheckboxSelectMultiple, help_text="Each gets a copy of each image."
    )

    def __init__(self, datastore: Datastore, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.datastore = datastore
        members = [host.pk for host in hosts_of(datastore)]
        self.fields["images"].queryset = cacheable()  # type: ignore[attr-defined]
        self.fields["hosts"].queryset = Host.objects.usable().filter(pk__in=members)  # type: ignore[attr-defined]

    def pairs(self) -> list[tuple[Image, Host]]:
        """Return each image with each host that has no copy of it yet. Raises BadInput for none, or too many."""
        found = uncached(self.datastore, self.cleaned_data["images"], self.cleaned_data["hosts"])
        if not found:
            raise BadInput("These hosts have copies of these images, or are getting them.")
        if len(found) > MOST:
            raise BadInput(f"At most {MOST} copies are asked for at once; these are {len(found)}.")
        return found

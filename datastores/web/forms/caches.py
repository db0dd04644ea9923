"""What is to be copied to the caches of hosts before it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db.models import Case, Q, When
from django.urls import reverse

from datastores.domain.errors import BadInput
from datastores.domain.values import format_size
from datastores.models import Datastore, Host, Image
from datastores.services.caching import cacheable, uncached
from datastores.services.placing import hosts_of
from datastores.web.forms.base import Form

MOST = 200
"""Copies that are asked for at once."""


SHOWN = 60
"""Images that are offered at once; more are found by a part of their name."""


class ImagesField(forms.ModelMultipleChoiceField):
    """Images to tick, with what tells two of one name apart."""

    widget = forms.CheckboxSelectMultiple

    def label_from_instance(self, image: Image) -> str:
        size = format_size(image.real_size or image.virtual_size)
        return f"{image.name}, in {image.datastore}, {size}"


class WarmForm(Form):
    """Which images, and where to. ``find``: a part of the names of those that are offered; ``chosen`` stay in sight."""

    find = forms.CharField(required=False, max_length=100, label="Find images", widget=forms.TextInput({
        "type": "search", "form": "", "hx-trigger": "input changed delay:300ms", "hx-select": "#offered",
        "hx-target": "#offered", "hx-swap": "outerHTML", "hx-include": "[name=images]:checked",
    }))  # fmt: skip
    images = ImagesField(Image.objects.none(), help_text="Images that are not persistent, of any datastore.")
    hosts = forms.ModelMultipleChoiceField(
        Host.objects.none(), widget=forms.CheckboxSelectMultiple, help_text="Each gets a copy of each image."
    )

    def __init__(
        self, datastore: Datastore, *args: Any, find: str = "", chosen: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, initial={"find": find, "images": chosen}, **kwargs)
        self.datastore = datastore
        members = [host.pk for host in hosts_of(datastore)]
        self.fields["find"].widget.attrs["hx-get"] = reverse("datastore-cache", args=[datastore.pk])
        self.fields["images"].queryset = cacheable()  # type: ignore[attr-defined]
        self.more = self._offer(find, self["images"].data or chosen)
        self.fields["hosts"].queryset = Host.objects.usable().filter(pk__in=members)  # type: ignore[attr-defined]

    def _offer(self, find: str, chosen: Sequence[str]) -> int:
        """Show the images that were chosen, then those that have ``find`` in their names; return how many are not."""
        images: Any = self.fields["images"]
        ticked = Q(pk__in=[key for key in chosen if key.isdecimal()][:MOST])
        rows = cacheable().filter(ticked | Q(name__icontains=find)).select_related("datastore")
        rows = rows.order_by(Case(When(ticked, then=0), default=1), "name", "pk") if chosen else rows
        offered = list(rows[:SHOWN])
        images.widget.choices = [(image.pk, images.label_from_instance(image)) for image in offered]
        return 0 if len(offered) < SHOWN else rows.count() - SHOWN

    def pairs(self) -> list[tuple[Image, Host]]:
        """Return each image with each host that has no copy of it yet. Raises BadInput for none, or too many."""
        found = uncached(self.datastore, self.cleaned_data["images"], self.cleaned_data["hosts"])
        if not found:
            raise BadInput("These hosts have copies of these images, or are getting them.")
        if len(found) > MOST:
            raise BadInput(f"At most {MOST} copies are asked for at once; these are {len(found)}.")
        return found

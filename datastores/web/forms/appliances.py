"""A LUN that becomes an image."""

from __future__ import annotations

from django import forms

from datastores.models import Image
from datastores.web.forms.base import Form, NameField


class PinForm(Form):
    name = NameField()
    type = forms.ChoiceField(choices=Image.Type.choices, initial=Image.Type.DATABLOCK)

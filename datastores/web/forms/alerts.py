"""What a person says of an alert."""

from __future__ import annotations

from django import forms

from datastores.web.forms.base import Form


class AcknowledgeForm(Form):
    note = forms.CharField(
        label="Note", required=False, max_length=500, help_text="What is being done, for whoever looks here next."
    )

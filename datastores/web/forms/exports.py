"""One line of a host's NFS exports."""

from __future__ import annotations

from typing import Any

from django import forms

from datastores.services.exports import Judged, the_line
from datastores.web.forms.base import CheckedField, Form


class ExportForm(Form):
    """``before``: the lines as the person saw them."""

    line = CheckedField(
        the_line, mono=True, label="The line",
        help_text="A path, then each client with its options in brackets, without a blank between them: "
        "/srv/images 10.0.0.0/24(rw,sync,no_subtree_check).",
    )  # fmt: skip
    before = forms.CharField(widget=forms.HiddenInput, strip=False, max_length=10_000)

    def __init__(self, found: Judged, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, initial={"line": found.remedy or found.entry.line(), "before": found.text}, **kwargs)

"""Settings, the approval of each kind of job, and who is told of what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.html import escape

from datastores.domain import values
from datastores.domain.approvals import Approval
from datastores.domain.errors import BadInput
from datastores.jobs import approval
from datastores.jobs.kinds import KINDS
from datastores.models import NotificationTarget, SettingsSection
from datastores.services.notifications import EVENTS
from datastores.services.settings import Section, Setting
from datastores.web.forms.base import ChangeForm, Form, checked

Rows = Mapping[str, SettingsSection]
"""What is stored, by section."""
APPROVED = tuple(kind for kind, case in KINDS.items() if case.can_wait)
"""The kinds of jobs that may wait for approval."""


def in_words(setting: Setting, value: Any) -> str:
    """Return a value as people read it."""
    if isinstance(value, list):
        return ", ".join(value) or "none"
    word = dict(setting.choices).get(value, value)
    return f"{word} {setting.unit}".strip() if word != "" else "none"


class SettingField(forms.CharField):
    """The value of a setting; directories one a line."""

    def __init__(self, setting: Setting, in_force: Any) -> None:
        default = in_words(setting, setting.default())
        source = f" from {setting.variable}" if setting.variable else ""
        self.setting, self.is_list = setting, isinstance(in_force, list)
        label = f"{setting.label} ({setting.unit})" if setting.unit else setting.label
        super().__init__(
            label=label, required=setting.required, max_length=20_000, widget=self._widget(setting, in_force),
            initial="\n".join(in_force) if self.is_list else in_force,
            help_text=f"{setting.help} Default{source}: {escape(default)}.",
        )  # fmt: skip

    def _widget(self, setting: Setting, in_force: Any) -> forms.Widget:
        if setting.choices:
            return forms.Select(choices=setting.choices)
        if isinstance(in_force, list):
            return forms.Textarea(attrs={"class": "mono", "spellcheck": "false", "rows": "5"})
        return forms.NumberInput() if isinstance(in_force, int) else forms.TextInput()

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return checked(self.setting.check, lines if self.is_list else text)


class Versioned(Form):
    """A form over settings that several people may change, one field for each value."""

    version = forms.IntegerField(
        widget=forms.HiddenInput,
        min_value=0,
        error_messages={"required": "The version is missing. Load the page again, then repeat your change."},
    )

    def __init__(self, *args: Any, fields: dict[str, forms.Field], version: int, **kwargs: Any) -> None:
        self.base_fields = {**type(self).base_fields, **fields}
        super().__init__(*args, initial={"version": version}, **kwargs)

    def chosen(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "version"}


class SectionForm(Versioned):
    """The settings of a section. ``in_force``: their values by key."""

    def __init__(self, *args: Any, section: Section, in_force: dict[str, Any], **kwargs: Any) -> None:
        self.section = section
        fields = {each.key: SettingField(each, in_force[each.key]) for each in section.settings}
        super().__init__(*args, fields=fields, **kwargs)

    def clean(self) -> dict[str, Any]:
        super().clean()
        if not self.errors:
            try:
                self.section.check(self.chosen())
            except BadInput as error:
                raise ValidationError(str(error)) from error
        return self.cleaned_data


class ApprovalForm(Versioned):
    """What each kind of job has to wait for."""

    def __init__(self, *args: Any, rows: Rows, **kwargs: Any) -> None:
        super().__init__(*args, fields={kind: self._field(kind, rows) for kind in APPROVED}, **kwargs)

    def _field(self, kind: str, rows: Rows) -> forms.Field:
        case = KINDS[kind]
        default = approval.default_of(case)
        offered = approval.choices_of(case)
        choices = [(each.value, f"{each} (default)" if each is default else str(each)) for each in offered]
        widget = forms.Select(attrs={"aria-label": f"Approval of: {case.label}"})
        return forms.ChoiceField(choices=choices, initial=approval.policy_now(case, rows).value, widget=widget)

    def policies(self) -> dict[str, Approval]:
        return {kind: Approval(policy) for kind, policy in self.chosen().items()}


class TargetForm(ChangeForm):
    secret = forms.CharField(
        required=False, max_length=500, strip=False, widget=forms.PasswordInput,
        help_text="Signs what is posted to a webhook (HMAC-SHA256), so that the other side knows who sent it. "
        "It is stored encrypted and never shown again. Empty: what is stored stays.",
    )  # fmt: skip
    events = forms.MultipleChoiceField(
        choices=tuple(EVENTS.items()), widget=forms.CheckboxSelectMultiple, label="Told of"
    )

    class Meta:
        model = NotificationTarget
        fields = ("kind", "address", "secret", "events", "enabled")
        help_texts = {"address": "https://hooks.example/cloudstore for a webhook, ops@store.example for an e-mail."}
        labels = {"enabled": "Messages go out"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["kind"].disabled = True
        if self.instance.secret:
            secret = self.fields["secret"]
            secret.help_text = f"One is set. {secret.help_text}"

    def clean_secret(self) -> str:
        return self.cleaned_data["secret"] or self.instance.secret

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if "kind" in data and "address" in data:
            try:
                data["address"] = address_of(data["kind"], data["address"])
            except ValidationError as error:
                self.add_error("address", error)
        if data.get("kind") == NotificationTarget.Kind.EMAIL:
            data["secret"] = ""
        return data


def address_of(kind: str, text: str) -> str:
    """Return the address in canonical form. Raises ValidationError."""
    if kind == NotificationTarget.Kind.WEBHOOK:
        return str(checked(values.web_address, text))
    address = str(checked(values.one_line, text)).strip()
    validate_email(address)
    return address

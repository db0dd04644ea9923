"""What our forms have in common: Bootstrap's classes, and errors of the domain as errors of a field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.forms.models import ModelChoiceIterator
from django.http import HttpResponse

from datastores.domain import values
from datastores.domain.errors import BadInput, CloudstoreError, Refused
from datastores.services.rows import change_row
from datastores.web.access import Request, wants_json
from datastores.web.errors import can_be_read, page_above

DJANGO_EMPTY = "---------"
NOT_A_CHOICE = "Select a valid choice: what was chosen is not there any more, or cannot be used now."
CHECKS = (forms.CheckboxInput, forms.RadioSelect, forms.CheckboxSelectMultiple)


class Form(forms.Form):
    """A form in our looks; ``django/forms/field.html`` lays its fields out."""

    template_name = "datastores/form.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        # several forms on one page must not share ids: their labels would name the wrong field
        kwargs.setdefault("auto_id", f"{type(self).__name__.lower()}_%s")
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            dress(field)

    def full_clean(self) -> None:
        super().full_clean()
        for name in self.errors:
            if name in self.fields:
                attributes = self.fields[name].widget.attrs
                attributes["class"] = f"{attributes.get('class', '')} is-invalid"
        wrong = (field.widget for name, field in self.fields.items() if name in self.errors)
        if first := next((widget for widget in wrong if not isinstance(widget, CHECKS)), None):
            first.attrs["autofocus"] = True  # what is wrong may be far below what a long form begins with
        for hidden in self.hidden_fields():  # nobody would see it there
            for error in hidden.errors:
                self.add_error(None, error)


class ModelForm(Form, forms.ModelForm):
    """The same over a row; uniqueness is checked by Django."""


class ChangeForm(ModelForm):
    """A form over a row that several people may change.

    It stores its own fields only, and those only if nobody else changed the row since this person saw it: the row was
    looked up before it was this request's turn.
    """

    version = forms.IntegerField(
        widget=forms.HiddenInput,
        error_messages={"required": "The version is missing. Load the page again, then repeat your change."},
    )
    """As the person saw it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["version"].initial = self.instance.version
        else:
            del self.fields["version"]

    def save(self, commit: bool = True) -> Any:
        """Store what was changed, or the row when it is new. Belongs into the transaction of the audit entry.

        :raises Refused: somebody else changed it since the person saw it.
        """
        row = self.instance
        if row.pk:
            fields = self._meta.fields
            change_row(row, self.cleaned_data["version"], **{name: getattr(row, name) for name in fields})
        else:
            row.save()
        return row


def dress(field: forms.Field) -> None:
    """Give the field's widget the class that Bootstrap wants."""
    widget = field.widget
    css = "form-select" if isinstance(widget, forms.Select) else "form-control"
    if isinstance(widget, CHECKS):
        css = "form-check-input"
    widget.attrs["class"] = f"{css} {widget.attrs.get('class', '')}".strip()
    if widget.attrs.get("rows") == "10":  # Django's own default
        widget.attrs["rows"] = "4"
    widget.attrs.setdefault("autocomplete", "off")
    if isinstance(field, forms.ModelChoiceField):
        field.error_messages |= {"invalid_choice": NOT_A_CHOICE}
    if isinstance(field, forms.ModelChoiceField) and field.empty_label == DJANGO_EMPTY:
        field.empty_label = "choose one" if field.required else "none"


class CheckedField(forms.CharField):
    """Text that a validator of the domain brings into canonical form."""

    def __init__(self, check: Callable[[str], str], *, mono: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 1200)
        super().__init__(**kwargs)
        self.check = check
        self.widget.attrs |= {"spellcheck": "false", **({"class": "mono"} if mono else {})}

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        return checked(self.check, text) if text else ""


class NameField(CheckedField):
    """The name of an image, datastore, VM, cluster, snapshot or credential."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(values.object_name, **({"label": "Name"} | kwargs))


class SizeField(forms.CharField):
    """The size of a disk, such as "25 GiB"; bytes when cleaned."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", "Size")
        super().__init__(max_length=30, **kwargs)
        self.widget.attrs["placeholder"] = "25 GiB"

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return checked(values.disk_size, text) if text else None


class LinesField(forms.CharField):
    """One value a line, each through a validator of the domain; a list when cleaned."""

    widget = forms.Textarea

    def __init__(self, check: Callable[[str], str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check
        self.widget.attrs |= {"spellcheck": "false", "class": "mono"}

    def clean(self, value: Any) -> list[str]:
        lines = [line.strip() for line in super().clean(value).splitlines()]
        return [checked(self.check, line) for line in lines if line]


class ShortIterator(ModelChoiceIterator):
    """Offers only the newest rows; any other that the person may see is accepted too."""

    offered = 300

    def __iter__(self) -> Iterator[Any]:
        if self.field.empty_label is not None:
            yield "", self.field.empty_label
        for row in self.queryset.order_by("-pk")[: self.offered]:
            yield self.choice(row)


class RowField(forms.ModelChoiceField):
    """A choice among rows of which there may be very many."""

    iterator = ShortIterator


def checked(check: Callable[[str], Any], text: str) -> Any:
    """Return the checked value. Raises ValidationError with the words of the domain."""
    try:
        return check(text)
    except BadInput as error:
        raise ValidationError(str(error)) from error


def attempt(
    request: Request,
    form: forms.BaseForm,
    act: Callable[[dict[str, Any]], HttpResponse],
    show: Callable[[], HttpResponse],
) -> HttpResponse:
    """Act when the form is sent and valid. Otherwise, or when it is refused, show it with what was entered.

    ``form.page`` is then the page that it is on: it may have been sent to an address that cannot be read.

    :raises CloudstoreError: it was refused, and a program asked: ``OperatorErrorMiddleware`` answers that.
    """
    if request.method != "POST":
        return show()
    if form.is_valid():
        try:
            return without_twins(lambda: act(form.cleaned_data))
        except CloudstoreError as error:
            if wants_json(request):
                raise
            form.add_error(None, forms.ValidationError(str(error), code=type(error).__name__))
            form.page = request.path if can_be_read(request.path) else page_above(request)  # type: ignore[attr-defined]
    elif wants_json(request):
        raise BadInput(" ".join(str(message) for messages in form.errors.values() for message in messages))
    return show()


def without_twins(act: Callable[[], HttpResponse]) -> HttpResponse:
    """Act; two people who ask for the same at the same moment both pass the checks, and the database takes one.

    :raises Refused: the other one was first.
    """
    try:
        return act()
    except IntegrityError as error:
        if "unique" not in str(error).lower():  # SQLite: "UNIQUE constraint failed", PostgreSQL: "unique constraint"
            raise
        raise Refused(
            "Somebody else has just made the same, or something of the same name. Nothing was changed; "
            "look at what is there, then try again."
        ) from error

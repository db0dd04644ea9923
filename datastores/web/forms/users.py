"""People: sign in, accounts, passwords."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.utils.crypto import salted_hmac

from datastores.domain.errors import ChangedSince
from datastores.models import User
from datastores.services.since import by_whom, last_done
from datastores.web.forms.base import Form, ModelForm

ABOUT_ROLES = (
    "admin: everything. operator: everything but hosts' keys, credentials, datastores and users. "
    "tenant: own images and virtual machines. auditor: looks at everything, changes nothing."
)


class LoginForm(Form, AuthenticationForm):
    error_messages = {
        "invalid_login": "That is not the name and password of an account that may sign in.",
        "inactive": "This account has been deactivated.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs["autocomplete"] = "username"
        self.fields["password"].widget.attrs["autocomplete"] = "current-password"


class OwnPasswordForm(Form, PasswordChangeForm):
    """The person's own password, with the old one."""


class NewPasswordForm(Form):
    """A password that an admin gives somebody."""

    password = forms.CharField(label="Password", strip=False, widget=forms.PasswordInput)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["password"].help_text = password_validation.password_validators_help_text_html()

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        password_validation.validate_password(password, self.user)
        return password


class UserForm(ModelForm):
    """Stores its own fields only. The row was looked up before it was this request's turn, and others write to it."""

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "role")
        help_texts = {"role": ABOUT_ROLES}

    def save(self, commit: bool = True) -> User:
        user: User = self.instance
        columns = set(self.Meta.fields)
        if user.role != User.Role.ADMIN:  # Django's own pages ask for these, not for the role
            user.is_staff = user.is_superuser = False
            columns |= {"is_staff", "is_superuser"}
        user.save(update_fields=columns)
        return user


class ChangeUserForm(UserForm):
    """``seen``: what the account was like when the person saw the form; a program need not say it."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["seen"].initial = fingerprint(self.instance)

    def require_unchanged(self, now: User) -> None:
        """Raise ChangedSince when somebody changed the account since; belongs into the turn of the change."""
        if self.cleaned_data["seen"] not in ("", fingerprint(now)):
            who = by_whom(last_done("user.change", now.username)) or " by somebody else meanwhile"
            raise ChangedSince(f"{now} was changed{who}. Load the page again to see it, then repeat your change.")


def fingerprint(user: User) -> str:
    """Return what tells an account as it is from the same account as it was."""
    values = [str(getattr(user, name)) for name in UserForm.Meta.fields]
    return salted_hmac("account", "\n".join(values), algorithm="sha256").hexdigest()


class NewUserForm(UserForm):
    password = forms.CharField(label="First password", strip=False, widget=forms.PasswordInput)

    def clean(self) -> dict[str, Any]:
        super().clean()
        if password := self.cleaned_data.get("password"):
            try:
                password_validation.validate_password(password, self.instance)
            except ValidationError as error:
                self.add_error("password", error)
        return self.cleaned_data

    def save(self, commit: bool = True) -> User:
        user: User = self.instance
        user.set_password(self.cleaned_data["password"])
        user.save()
        return user

"""Hosts, clusters and the keys to log in with."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from datastores.domain import values
from datastores.domain.errors import BadInput
from datastores.models import Cluster, Credential, Host
from datastores.services import hosts
from datastores.transport.keys import load_key, public_line
from datastores.web.forms.base import ChangeForm, CheckedField, Form, NameField

OWN, STORED, PASTED, AGENT = "own", "stored", "pasted", "agent"
HOW = (
    (OWN, "cloudstore's own key"),
    (STORED, "A key that is stored here already"),
    (PASTED, "A private key of yours, pasted below"),
    (AGENT, "The SSH agent of the machine that cloudstore runs on"),
)
SSH_AGENT = "ssh agent"


class KeyFields(Form):
    """A private key as somebody pastes it."""

    private_key = forms.CharField(
        required=False, strip=False, max_length=20_000,
        widget=forms.Textarea(attrs={"class": "mono", "spellcheck": "false"}),
        help_text="OpenSSH or PEM; Ed25519, ECDSA or RSA. It is stored encrypted and never shown again.",
    )  # fmt: skip
    passphrase = forms.CharField(
        required=False, max_length=1000, widget=forms.PasswordInput, help_text="Only if the key has one."
    )
    certificate = forms.CharField(
        required=False, max_length=20_000, widget=forms.Textarea(attrs={"class": "mono", "rows": 2}),
        help_text="The one line of its -cert.pub file, if your hosts trust an authority.",
    )  # fmt: skip

    def read_key(self) -> dict[str, str]:
        """Return the fields of a Credential. Raises ValidationError when the key is not usable."""
        names = "private_key", "passphrase", "certificate"
        key, passphrase, certificate = (self.cleaned_data.get(name, "").strip() for name in names)
        if not key:
            raise ValidationError({"private_key": "Paste the private key."})
        try:
            load_key(key, passphrase, certificate)
            public = public_line(key, passphrase)
        except BadInput as error:
            raise ValidationError({"private_key": str(error)}) from error
        return {"private_key": key, "passphrase": passphrase, "certificate": certificate, "public_key": public}


class CredentialForm(KeyFields):
    name = NameField(help_text="What you will recognise it by: whose key it is, or which hosts know it.")

    field_order = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["private_key"].required = True

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Credential.objects.filter(name=name).exists():
            raise ValidationError(f"There is a credential {name} already.")
        return name

    def clean(self) -> dict[str, Any]:
        super().clean()
        if self.cleaned_data.get("private_key"):
            self.cleaned_data |= self.read_key()
        return self.cleaned_data

    def save(self) -> Credential:
        return Credential.objects.create(**self.cleaned_data)


class ClusterForm(ChangeForm):
    name = NameField()

    class Meta:
        model = Cluster
        fields = ("name", "description")


class HostPlaceForm(ChangeForm):
    """What an operator may change of a host: nothing about how it is reached."""

    class Meta:
        model = Host
        fields = ("cluster",)

    def save(self, commit: bool = True) -> Host:
        """Store what was changed, or the host with its key when it is new.

        :raises BadInput: a field is not acceptable as it stands with the others.
        :raises Refused: somebody else changed it since the person saw it, or it gets another name during a job.
        """
        host: Host = self.instance
        fields = (*self._meta.fields, *self.fill(host))
        if host.pk:
            hosts.change_host(host, self.cleaned_data["version"], fields)
        else:
            hosts.check_host(host)
            host.save()
        return host

    def fill(self, host: Host) -> tuple[str, ...]:
        """Set what follows from fields that are no columns; return the columns."""
        return ()


class HostForm(HostPlaceForm, KeyFields):
    """Everything about a host and how it is reached."""

    name = CheckedField(
        partial(values.host_address, what="The name"), label="Name", max_length=128, help_text="As you call it: kvm-07."
    )
    address = CheckedField(values.host_address, label="Address", max_length=253, help_text="Host name or IP address.")
    port = forms.IntegerField(min_value=1, max_value=65535, initial=22)
    account = CheckedField(
        values.account_name, label="Account", max_length=32, initial="root",
        help_text="root, or an account that sudo lets become root; the host's page shows the sudoers file for it.",
    )  # fmt: skip
    how = forms.ChoiceField(label="Log in with", choices=HOW, initial=OWN, widget=forms.RadioSelect)
    credential = forms.ModelChoiceField(Credential.objects.none(), required=False, label="Stored key")
    first_password = forms.CharField(
        required=False, max_length=1000, label="Password, once", widget=forms.PasswordInput,
        help_text="Used once, to install the key above, then forgotten. Leave it empty when the host knows the key.",
    )  # fmt: skip

    class Meta:
        model = Host
        fields = ("name", "address", "port", "account", "cluster", "jump")

    field_order = ("name", "address", "port", "account", "cluster", "jump", "how", "credential")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = Credential.objects.filter(name=hosts.OWN_CREDENTIAL).first()
        self.public_key = own.public_key if own else ""
        self.fields["credential"].queryset = Credential.objects.exclude(name=hosts.OWN_CREDENTIAL)  # type: ignore[attr-defined]
        jump = self.fields["jump"]
        jump.queryset = Host.objects.exclude(pk=self.instance.pk)  # type: ignore[attr-defined]
        jump.label, jump.help_text = "Jump host", "When it can be reached only through another host."
        if self.instance.pk:
            self.fields["how"].initial = OWN if own and self.instance.credential_id == own.pk else STORED
            self.fields["credential"].initial = self.instance.credential_id

    def clean(self) -> dict[str, Any]:
        super().clean()
        how = self.cleaned_data.get("how")
        if how == STORED and not self.cleaned_data.get("credential"):
            self.add_error("credential", "Choose the key.")
        place = {name: self.cleaned_data.get(name) for name in ("address", "port", "jump")}
        if other := Host.objects.filter(**place).exclude(pk=self.instance.pk).first():
            self.add_error("address", f"{other.name} has this address and port already.")
        self.key = self.read_key() if how == PASTED else {}
        return self.cleaned_data

    def fill(self, host: Host) -> tuple[str, ...]:
        host.credential = self._credential(host.name)
        if not self.cleaned_data["first_password"]:
            return ("credential",)
        host.first_password = self.cleaned_data["first_password"]
        return "credential", "first_password"

    def _credential(self, name: str) -> Credential:
        how = self.cleaned_data["how"]
        if how == STORED:
            chosen: Credential = self.cleaned_data["credential"]
            return chosen
        if how == AGENT:
            return Credential.objects.get_or_create(name=SSH_AGENT, defaults={"use_agent": True})[0]
        if how == PASTED:
            return Credential.objects.create(name=free_name(f"key for {name}"), **self.key)
        return hosts.own_credential()


def free_name(wanted: str) -> str:
    """Return ``wanted``, or ``wanted 2`` ... when there is such a credential already."""
    taken = set(Credential.objects.filter(name__startswith=wanted).values_list("name", flat=True))
    names = [wanted, *(f"{wanted} {number}" for number in range(2, len(taken) + 2))]
    return next(name for name in names if name not in taken)

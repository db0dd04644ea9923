"""Keys with which cloudstore logs in. Their private parts go in and never come out."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.errors import Refused
from datastores.models import Credential, Host
from datastores.models.audit import in_turn
from datastores.web.access import ADMINS, Request, roles, visible
from datastores.web.acting import ask_name, done, note
from datastores.web.forms.base import attempt
from datastores.web.forms.hosts import CredentialForm
from datastores.web.lists.columns import Column
from datastores.web.lists.rows import Rows
from datastores.web.lists.sums import count_of


@roles(read=ADMINS)
class CredentialList(Rows):
    model = Credential
    template_name = "datastores/credential_list.html"
    row_template = "datastores/_credential_row.html"
    figures: ClassVar = {"host_count": count_of(Host.objects.all(), "credential")}
    unread = ("private_key", "passphrase")
    name = "credentials"
    default_sort = "name"
    columns = (
        Column("name", "Name", "name", "name"),
        Column("kind", "Kind"),
        Column("public_key", "Public key", value="public_key"),
        Column("hosts", "Hosts", "host_count", "host_count", number=True),
        Column("since", "Since", "created_at", "created_at"),
        Column("acts", ""),
    )


@roles(read=ADMINS, write=ADMINS)
def credential_new(request: Request) -> HttpResponse:
    form = CredentialForm(request.POST or None)

    def act(_: object) -> HttpResponse:
        with in_turn():
            credential = form.save()
            note(request, "credential.create", credential, public_key=credential.public_key)
        return done(request, f"The key {credential} is stored.", "credential-list")

    return attempt(request, form, act, lambda: render(request, "datastores/credential_form.html", {"form": form}))


@roles(write=ADMINS)
def credential_delete(request: Request, pk: int) -> HttpResponse:
    credential = visible(request, Credential, pk=pk)
    hosts = list(credential.hosts.values_list("name", flat=True)[:10])
    if hosts:
        raise Refused(f"cloudstore logs in to {', '.join(hosts)} with {credential}. Give them another key first.")
    if asked := ask_name(
        request, credential.name, "The private key is destroyed here. Hosts go on knowing its public part."
    ):
        return asked
    with in_turn():
        note(request, "credential.delete", credential, public_key=credential.public_key)
        credential.delete()
    return done(request, f"The key {credential} is deleted.", "credential-list")

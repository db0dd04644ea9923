"""Keys with which cloudstore logs in. Their private parts go in and never come out."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.errors import Refused
from datastores.models import Credential
from datastores.models.audit import in_turn
from datastores.web.access import ADMINS, Request, roles, visible
from datastores.web.acting import ask_name, done, note
from datastores.web.forms.base import attempt
from datastores.web.forms.hosts import CredentialForm
from datastores.web.lists import Column, Rows


@roles(read=ADMINS)
class CredentialList(Rows):
    model = Credential
    template_name = "datastores/credential_list.html"
    row_template = "datastores/_credential_row.html"
    default_order = "name"
    columns = (
        Column("Name", "name"), Column("Kind"), Column("Public key"), Column("Hosts", "host_count", number=True),
        Column("Since", "created_at"), Column(""),
    )  # fmt: skip

    def rows(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().rows().defer("private_key", "passphrase").annotate(host_count=Count("hosts"))
        return rows


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

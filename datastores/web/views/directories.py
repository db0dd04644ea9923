"""Directories of a host that lie on a datastore: move one, bring it back, delete what it has left."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.states import ObjectState
from datastores.models import Datastore, Host, MovedDirectory
from datastores.services.directories import left_by
from datastores.services.placing import driver_of
from datastores.web.access import ADMINS, Request, one_of, roles, visible
from datastores.web.acting import ask_name, start, started
from datastores.web.ahead import ahead_of
from datastores.web.forms.base import attempt
from datastores.web.forms.directories import MoveDirectoryForm


@roles(read=ADMINS, write=ADMINS)
def host_directory(request: Request, pk: int) -> HttpResponse:
    """Move a directory of the host onto a datastore."""
    host = visible(request, Host, pk=pk)
    datastores = [each for each in host.datastores.filter(state=ObjectState.READY) if on_host(each, host)]
    form = MoveDirectoryForm(datastores, request.POST or None)

    def act(_: object) -> HttpResponse:
        job = start(request, "directory.move", form.params(), host=host, datastore=form.cleaned_data["datastore"])
        return started(request, job)

    page = {"form": form, "object": host, "datastores": datastores, "ahead": ahead_of("directory.move")}
    return attempt(request, form, act, lambda: render(request, "datastores/directory_form.html", page))


def on_host(datastore: Datastore, host: Host) -> bool:
    """Whether files of the datastore can be written on the host."""
    return bool(driver_of(datastore).writable(host.name))


def the_directory(request: Request, pk: int, directory: int) -> MovedDirectory:
    host = visible(request, Host, pk=pk)
    rows = MovedDirectory.objects.select_related("host", "datastore")
    return one_of(rows, about=host, pk=directory, host=host)


@roles(write=ADMINS)
def host_directory_return(request: Request, pk: int, directory: int) -> HttpResponse:
    row = the_directory(request, pk, directory)
    params = {"directory": row.pk}
    return started(request, start(request, "directory.return", params, host=row.host, datastore=row.datastore))


@roles(write=ADMINS)
def host_directory_forget(request: Request, pk: int, directory: int) -> HttpResponse:
    row = the_directory(request, pk, directory)
    question = f"{' and '.join(left_by(row))} on {row.host} and all that is in it are gone for ever."
    if asked := ask_name(request, row.path, question):
        return asked
    params = {"directory": row.pk}
    return started(request, start(request, "directory.forget", params, host=row.host, datastore=row.datastore))

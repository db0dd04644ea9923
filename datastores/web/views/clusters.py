"""Clusters: hosts that belong together."""

from __future__ import annotations

from typing import ClassVar

from django.db.models.deletion import ProtectedError
from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.errors import Refused
from datastores.models import Cluster, Datastore, Host
from datastores.models.audit import in_turn
from datastores.web.access import READERS, STAFF, Request, roles, visible
from datastores.web.acting import ask_name, done, note
from datastores.web.forms.base import attempt
from datastores.web.forms.hosts import ClusterForm
from datastores.web.lists.columns import Column
from datastores.web.lists.fields import Number, Text
from datastores.web.lists.rows import Rows
from datastores.web.lists.sums import count_of


@roles(read=READERS)
class ClusterList(Rows):
    model = Cluster
    template_name = "datastores/cluster_list.html"
    row_template = "datastores/_cluster_row.html"
    figures: ClassVar = {
        "host_count": count_of(Host.objects.all(), "cluster"),
        "datastore_count": count_of(Datastore.objects.all(), "cluster"),
    }
    name = "clusters"
    search = Text(("name", "description"), "lab")
    fields = {
        "name": Text(("name",), "name:lab"),
        "hosts": Number("host_count", "hosts>3", int),
        "datastores": Number("datastore_count", "datastores:0", int),
    }
    default_sort = "name"
    columns = (
        Column("id", "ID", "pk", "pk", number=True),
        Column("name", "Name", "name", "name"),
        Column("description", "Description", value="description"),
        Column("hosts", "Hosts", "host_count", "host_count", number=True),
        Column("datastores", "Datastores", "datastore_count", "datastore_count", number=True),
        Column("acts", ""),
    )


@roles(read=STAFF, write=STAFF)
def cluster_new(request: Request) -> HttpResponse:
    return edit(request, Cluster(), "cluster.create", "New cluster")


@roles(read=STAFF, write=STAFF)
def cluster_edit(request: Request, pk: int) -> HttpResponse:
    cluster = visible(request, Cluster, pk=pk)
    return edit(request, cluster, "cluster.change", f"Cluster {cluster}")


def edit(request: Request, cluster: Cluster, action: str, title: str) -> HttpResponse:
    before = {"name": cluster.name, "description": cluster.description}
    form = ClusterForm(request.POST or None, instance=cluster)

    def act(after: dict[str, str]) -> HttpResponse:
        with in_turn():
            saved = form.save()
            note(request, action, saved, before=before, after=after)
        return done(request, f"Cluster {saved} is saved.", "cluster-list")

    page = {"form": form, "title": title}
    return attempt(request, form, act, lambda: render(request, "datastores/cluster_form.html", page))


@roles(write=STAFF)
def cluster_delete(request: Request, pk: int) -> HttpResponse:
    cluster = visible(request, Cluster, pk=pk)
    if asked := ask_name(request, cluster.name, f"The cluster {cluster} is forgotten. Its hosts are not touched."):
        return asked
    with in_turn():
        note(request, "cluster.delete", cluster)
        try:
            cluster.delete()
        except ProtectedError as error:
            used = ", ".join(str(row) for row in sorted(error.protected_objects, key=str)[:10])
            raise Refused(f"{cluster} still holds {used}. Move them to another cluster first.") from error
    return done(request, f"Cluster {cluster} is deleted.", "cluster-list")

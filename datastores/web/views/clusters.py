"""Clusters: hosts that belong together."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet
from django.db.models.deletion import ProtectedError
from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.errors import Refused
from datastores.models import Cluster
from datastores.models.audit import in_turn
from datastores.web.access import READERS, STAFF, Request, roles, visible
from datastores.web.acting import ask_name, done, note
from datastores.web.forms.base import attempt
from datastores.web.forms.hosts import ClusterForm
from datastores.web.lists import Column, Rows


@roles(read=READERS)
class ClusterList(Rows):
    model = Cluster
    template_name = "datastores/cluster_list.html"
    row_template = "datastores/_cluster_row.html"
    search = ("name", "description")
    default_order = "name"
    columns = (
        Column("ID", "pk", number=True), Column("Name", "name"), Column("Description"),
        Column("Hosts", "host_count", number=True), Column("Datastores", "datastore_count", number=True), Column(""),
    )  # fmt: skip

    def rows(self) -> QuerySet[Any]:
        counts = {"host_count": Count("hosts", distinct=True), "datastore_count": Count("datastores", distinct=True)}
        rows: QuerySet[Any] = super().rows().annotate(**counts)
        return rows


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

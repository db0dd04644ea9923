"""What charts are drawn from: the figures of a host or a datastore over a ``span``."""

from __future__ import annotations

from django.http import JsonResponse

from datastores.models import Datastore, DatastoreSample, Host, HostSample
from datastores.web.access import READERS, Request, roles, visible
from datastores.web.charts import DATASTORE_FIGURES, HOST_FIGURES, columns, span_asked


@roles(read=READERS)
def host_samples(request: Request, pk: int) -> JsonResponse:
    host = visible(request, Host, pk=pk)
    return JsonResponse(columns(HostSample.objects.filter(host=host), HOST_FIGURES, span_asked(request)))


@roles(read=READERS)
def datastore_samples(request: Request, pk: int) -> JsonResponse:
    datastore = visible(request, Datastore, pk=pk)
    samples = DatastoreSample.objects.filter(datastore=datastore)
    return JsonResponse(columns(samples, DATASTORE_FIGURES, span_asked(request)))

"""What waits for the workers, and who they are: to be looked at, for nothing here is anybody's to change."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.alerts import is_lost
from datastores.jobs.watching import machinery
from datastores.web.access import ADMINS, Request, roles

FOR = {
    "interactive": "What a person waits for: clones, disks, deletions.",
    "provision": "Hosts that are set up, datastores, and repairs.",
    "transfer": "Copies of bytes, which may take long.",
    "monitor": "Reading hosts.",
}


@roles(read=ADMINS)
def queues(request: Request) -> HttpResponse:
    """As Redis knows it now, if it answers."""
    workers, waiting = machinery()
    heard = [worker for worker in workers or () if not is_lost(worker)]
    lines = [
        (queue, FOR.get(queue.name, ""), sum(queue.name in worker.queues for worker in heard))
        for queue in waiting or ()
    ]
    known = sorted(workers or (), key=lambda worker: (worker.host, worker.queues, worker.name))
    context = {"lines": lines, "answers": waiting is not None, "workers": [(one, is_lost(one)) for one in known]}
    return render(request, "datastores/queues.html", context)

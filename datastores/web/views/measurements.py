"""How fast datastores are: measure one, see how that changed, and compare the kinds."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render

from datastores.domain.characters import WORDS, Candidate, Need, judged
from datastores.domain.volumes import Capability
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import DRIVERS
from datastores.models import Datastore
from datastores.services.measurements import by_disks, measured_on
from datastores.services.placing import driver_of
from datastores.web.access import READERS, STAFF, Request, roles, visible
from datastores.web.acting import start, started
from datastores.web.ahead import ahead_of
from datastores.web.forms.base import attempt
from datastores.web.forms.measurements import MeasureForm
from datastores.web.speeds import bars, of_kinds, speed_columns


@roles(read=STAFF, write=STAFF)
def datastore_measure(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    hosts = measured_on(datastore)
    form = MeasureForm(hosts, request.POST or None)

    def act(_: object) -> HttpResponse:
        return started(request, start(request, "datastore.measure", form.params(), datastore=datastore))

    driver = driver_of(datastore)
    page = {"form": form, "object": datastore, "hosts": hosts, "ahead": ahead_of("datastore.measure"),
            "unmeasured": driver.unmeasured, "disks": by_disks(driver)}  # fmt: skip
    return attempt(request, form, act, lambda: render(request, "datastores/measure_form.html", page))


@roles(read=READERS)
def datastore_speeds(request: Request, pk: int) -> JsonResponse:
    """What the chart of its speeds is drawn from."""
    return JsonResponse(speed_columns(visible(request, Datastore, pk=pk)))


@roles(read=READERS)
def advisor(request: Request) -> HttpResponse:
    """Compare the kinds of datastores by what they are, and by what was measured here."""
    needs = [Need(value) for value in request.GET.getlist("need") if value in set(Need)]
    verdicts = judged([candidate(driver) for driver in DRIVERS.values()], needs)
    measured = of_kinds(DRIVERS)
    page = {
        "rows": [
            {**in_words(DRIVERS[verdict.kind]), "verdict": verdict, "figures": measured.get(verdict.kind)}
            for verdict in verdicts
        ],
        "needs": [(need.value, words, need in needs) for need, words in WORDS.items()],
        "chosen": needs,
        "charts": charts_of(measured),
        "stores": Datastore.objects.visible_to(request.user).order_by("name")[:50],
    }
    return render(request, "datastores/advisor.html", page)


def candidate(driver: type[StorageDriver]) -> Candidate:
    """Return a kind as it is judged: what it declares, and what depends on the options of a datastore."""
    migrates = 2 if Capability.LIVE_MIGRATION in driver.can else 1 if shareable(driver) else 0
    clones = 2 if Capability.CLONE in driver.can else 0
    return Candidate(driver.kind, migrates, clones, driver.character)


def shareable(driver: type[StorageDriver]) -> bool:
    """Whether an option lets other hosts see the same bytes."""
    return "exported" in driver.Options.__dataclass_fields__


def in_words(driver: type[StorageDriver]) -> dict[str, Any]:
    """Return a kind for the table."""
    found = candidate(driver)
    character = driver.character
    return {
        "kind": driver.kind,
        "label": driver.label,
        "about": driver.about,
        "character": character,
        "clone": clone_words(driver),
        "migration": {2: "yes", 1: "when all hosts have it mounted", 0: "with a copy of the disks"}[found.migrates],
        "snapshots": "yes" if Capability.SNAPSHOT in driver.can else "no",
    }


def clone_words(driver: type[StorageDriver]) -> str:
    """Return what the disk of a VM costs."""
    if driver.has_luns:
        return "nothing: each LUN is one disk, and is made by hand"
    if Capability.CLONE not in driver.can:
        return "a full copy: as long, and as much room, as the image has bytes"
    kept = "; the image has to stay" if driver.clone_needs_source else ""
    return f"milliseconds, and room only for what is written{kept}"


def charts_of(measured: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the charts that have something to show."""
    found = {DRIVERS[kind].label: figures for kind, figures in measured.items()}
    charts = (
        bars("Large blocks", "MiB/s", found, {"write_rate": "Written", "read_rate": "Read"}),
        bars("Blocks of 4 KiB, each second", "", found, {"write_iops": "Written", "read_iops": "Read"}),
        bars("99 of 100 blocks of 4 KiB within", "ms", found, {"write_p99": "Written", "read_p99": "Read"}),
    )
    return [{"title": chart["title"], "json": json.dumps(chart)} for chart in charts if chart["labels"]]

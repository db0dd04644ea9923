"""What charts are drawn from, and what pages say about growth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datastores.models import Datastore, DatastoreSample, Host, HostSample, User
from datastores.models.samples import DAILY, FINE, HOURLY
from datastores.services.samples import kept_for, thin_samples
from datastores.web.charts import SPANS
from tests.unit.conftest import GIB, a_datastore, a_host, an_image, signed_in, text_of

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 10, 12, 0, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


def sample(host: Host, ago: timedelta, resolution: int = FINE, **figures: Any) -> HostSample:
    values = {"latency": 2.0, "load": 1.0, "memory_total": 8, "memory_used": 4, "root_total": 9, "root_used": 3}
    return HostSample(host=host, at=NOON - ago, resolution=resolution, **(values | figures))


def filled(host: Host) -> None:
    """As many samples as there can be of a host."""
    for resolution, kept in kept_for().items():
        step = timedelta(seconds=resolution)
        HostSample.objects.bulk_create(sample(host, step * number, resolution) for number in range(1, kept // step))


def days_of(datastore: Datastore, *gibs: int) -> None:
    """The daily means until yesterday."""
    DatastoreSample.objects.bulk_create(
        DatastoreSample(
            datastore=datastore, at=NOON - timedelta(days=len(gibs) - number, hours=12), resolution=DAILY,
            total=1000 * GIB, used=each * GIB, promised=0,
        )
        for number, each in enumerate(gibs)
    )  # fmt: skip


def answer(user: User, path: str) -> dict[str, Any]:
    response = signed_in(user).get(path, headers={"Accept": "application/json"})
    assert response.status_code == 200, response.content
    found: dict[str, Any] = json.loads(response.content)
    return found


def values(found: dict[str, Any], name: str) -> list[float | None]:
    [figure] = [figure for figure in found["figures"] if figure["name"] == name]
    column: list[float | None] = figure["values"]
    return column


class TestColumns:
    @pytest.fixture
    def host(self) -> Host:
        return a_host()

    @pytest.mark.parametrize("span", SPANS)
    def test_there_are_at_most_some_hundred_points(self, admin: User, host: Host, span: str) -> None:
        filled(host)
        filled(a_host())
        found = answer(admin, f"/hosts/{host.pk}/samples/?span={span}")
        assert 160 < len(found["at"]) <= 400
        assert found["at"] == sorted(set(found["at"]))
        assert {len(figure["values"]) for figure in found["figures"]} == {len(found["at"])}
        start = NOON - SPANS[span].length
        assert start.timestamp() <= found["at"][0] <= found["at"][-1] <= NOON.timestamp()

    @pytest.mark.parametrize("span", SPANS)
    def test_they_cost_one_query_however_many_there_are(self, admin: User, host: Host, span: str) -> None:
        client, path = signed_in(admin), f"/hosts/{host.pk}/samples/?span={span}"
        counts = []
        for fill in (lambda: None, lambda: filled(host)):
            fill()
            with CaptureQueriesContext(connection) as asked:
                client.get(path)
            counts.append(sum("hostsample" in query["sql"] for query in asked))
        assert counts == [1, 1]

    def test_a_chart_of_a_new_host_does_not_wait_for_means(self, admin: User, host: Host) -> None:
        HostSample.objects.bulk_create(sample(host, timedelta(minutes=5 * number), load=2.0) for number in range(3))
        for span in SPANS:
            assert set(values(answer(admin, f"/hosts/{host.pk}/samples/?span={span}"), "load")) == {2.0}

    def test_means_and_what_came_after_them_meet_without_being_counted_twice(self, admin: User, host: Host) -> None:
        HostSample.objects.bulk_create(
            sample(host, timedelta(minutes=5 * number), load=float(number)) for number in range(1, 12 * 24)
        )
        before = answer(admin, f"/hosts/{host.pk}/samples/?span=week")
        thin_samples()
        after = answer(admin, f"/hosts/{host.pk}/samples/?span=week")
        assert HostSample.objects.filter(resolution=HOURLY).count() == 23
        assert values(before, "load") == values(after, "load")
        assert len(before["at"]) == 24

    def test_where_nothing_was_sampled_the_line_ends(self, admin: User, host: Host) -> None:
        for minutes in (5, 10, 60, 65):
            sample(host, timedelta(minutes=minutes)).save()
        assert values(answer(admin, f"/hosts/{host.pk}/samples/"), "load") == [1.0, 1.0, None, 1.0, 1.0]

    def test_one_that_came_late_is_no_gap(self, admin: User, host: Host) -> None:
        for seconds in (0, 301, 602, 1204):
            sample(host, timedelta(seconds=2000 - seconds)).save()
        assert None not in values(answer(admin, f"/hosts/{host.pk}/samples/"), "load")

    def test_an_unknown_latency_is_no_latency_of_nothing(self, admin: User, host: Host) -> None:
        sample(host, timedelta(minutes=5), latency=None).save()
        found = answer(admin, f"/hosts/{host.pk}/samples/")
        assert values(found, "latency") == [None]
        assert values(found, "memory_used") == [4]

    def test_nothing_is_something_to_answer(self, admin: User, host: Host) -> None:
        found = answer(admin, f"/hosts/{host.pk}/samples/?span=year")
        assert found["at"] == [] and values(found, "load") == []

    def test_what_a_wrong_clock_left_in_the_future_is_not_shown(self, admin: User, host: Host) -> None:
        sample(host, timedelta(days=-3)).save()
        assert answer(admin, f"/hosts/{host.pk}/samples/")["at"] == []

    def test_another_host_is_another_chart(self, admin: User, host: Host) -> None:
        sample(a_host(), timedelta(minutes=5)).save()
        assert answer(admin, f"/hosts/{host.pk}/samples/")["at"] == []

    def test_those_of_a_datastore(self, admin: User) -> None:
        datastore = a_datastore()
        days_of(datastore, 10, 20, 30)
        found = answer(admin, f"/datastores/{datastore.pk}/samples/?span=year")
        assert values(found, "used") == [10 * GIB, 20 * GIB, 30 * GIB]
        assert values(found, "inodes_total") == [None] * 3
        assert [figure["unit"] for figure in found["figures"]] == ["bytes", "bytes", "bytes", "", ""]


class TestAsking:
    @pytest.mark.parametrize("span", ["decade", "", HOSTILE, "day\0"])
    def test_a_span_that_there_is_not_is_refused_in_words(self, admin: User, span: str) -> None:
        host, datastore = a_host(), a_datastore()
        client = signed_in(admin)
        for path in (f"/hosts/{host.pk}/", f"/datastores/{datastore.pk}/"):
            for address in (path, f"{path}samples/"):
                response = client.get(address, {"span": span})
                assert response.status_code == 400
                assert "it is day, week, month, year" in text_of(response)
                assert HOSTILE not in text_of(response)
        refused = client.get(f"/hosts/{host.pk}/samples/?span=decade", headers={"Accept": "application/json"})
        assert refused.json() == {"error": "There is no span 'decade': it is day, week, month, year."}

    def test_a_tenant_learns_nothing_of_hosts(self, alice: User, admin: User) -> None:
        host, datastore = a_host(), a_datastore()
        for path in (f"/hosts/{host.pk}/samples/", f"/datastores/{datastore.pk}/samples/"):
            assert signed_in(alice).get(path).status_code == 403
        assert signed_in(admin).get("/hosts/999999/samples/").status_code == 404
        assert signed_in(admin).get("/datastores/999999/samples/").status_code == 404


class TestPages:
    @pytest.fixture
    def datastore(self) -> Datastore:
        """It grows by 10 GiB a day."""
        found = a_datastore("gold", total=1000 * GIB, used=150 * GIB, free=850 * GIB, measured_at=NOON)
        days_of(found, *range(70, 150, 10))
        return found

    def test_the_page_of_a_datastore_says_when_it_is_full(self, admin: User, datastore: Datastore) -> None:
        page = text_of(signed_in(admin).get(f"/datastores/{datastore.pk}/"))
        assert "+10 GiB/day: full in about 85 days at this pace." in page
        assert f'data-chart="/datastores/{datastore.pk}/samples/?span=month"' in page
        assert '<a href="?span=month" aria-current="true">Month</a>' in page

    @pytest.mark.parametrize(
        ("gibs", "words"),
        [((), "It is known after three days of samples."), ((150,) * 9, "It neither grows nor shrinks."),
         (tuple(range(240, 150, -10)), "-10 GiB/day: it shrinks.")],
    )  # fmt: skip
    def test_or_why_it_does_not(self, admin: User, gibs: tuple[int, ...], words: str) -> None:
        datastore = a_datastore(total=1000 * GIB, used=150 * GIB, free=850 * GIB, measured_at=NOON)
        days_of(datastore, *gibs)
        assert words in text_of(signed_in(admin).get(f"/datastores/{datastore.pk}/"))

    def test_the_largest_images_come_first(self, admin: User, datastore: Datastore) -> None:
        for number in range(12):
            an_image(admin, f"image-{number:02}", datastore=datastore, real_size=number * GIB)
        an_image(admin, HOSTILE, datastore=datastore, real_size=40 * GIB)
        page = text_of(signed_in(admin).get(f"/datastores/{datastore.pk}/"))
        card = page.split("Largest images")[1].split("</section>")[0]
        assert card.count('class="share"') == 10
        assert card.index("&lt;img") < card.index("image-11") < card.index("image-03")
        assert HOSTILE not in card and "image-02" not in card
        assert "sort=-real&amp;q=datastore%3D%22gold%22" in card

    def test_without_images_it_says_so(self, admin: User) -> None:
        page = text_of(signed_in(admin).get(f"/datastores/{a_datastore().pk}/"))
        assert "No image takes room here; it was not measured yet." in page

    def test_the_page_of_a_host_has_its_charts(self, admin: User, datastore: Datastore) -> None:
        host = datastore.hosts.get()
        page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/?span=week"))
        assert page.count(f'data-chart="/hosts/{host.pk}/samples/?span=week"') == 4
        assert "150 GiB of 1000 GiB" in page.split("<h2>Datastores</h2>")[1]

    def test_a_host_that_was_never_read_has_no_charts(self, admin: User) -> None:
        host = a_host(state="new")
        assert "data-chart" not in text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))

    def test_the_overview_says_how_fast_space_goes(self, admin: User, datastore: Datastore) -> None:
        days_of(a_datastore("other", total=9 * GIB, used=1, free=9 * GIB), 1, 2, 3, 4, 5)
        page = text_of(signed_in(admin).get("/"))
        assert "+11 GiB/day</small>" in page
        assert '+10 GiB/day<div class="sub">full in 85 days</div>' in page

    def test_the_growth_of_a_file_system_counts_once(self, admin: User, datastore: Datastore) -> None:
        twin = a_datastore(
            "twin", hosts=[datastore.hosts.get()], total=1000 * GIB, used=150 * GIB, free=850 * GIB, measured_at=NOON
        )
        days_of(twin, *range(70, 150, 10))
        assert "+10 GiB/day</small>" in text_of(signed_in(admin).get("/"))

    def test_where_nothing_is_known_the_overview_says_nothing(self, admin: User) -> None:
        a_datastore(total=GIB, used=0, free=GIB)
        assert "/day" not in text_of(signed_in(admin).get("/"))


class TestTheList:
    ASKED = "/datastores/?columns=name,growth,full"

    @pytest.fixture
    def datastore(self) -> Datastore:
        found = a_datastore("gold", total=1000 * GIB, used=140 * GIB, free=860 * GIB)
        days_of(found, *range(70, 150, 10))
        return found

    def test_growth_is_a_column_that_one_may_choose(self, admin: User, datastore: Datastore) -> None:
        a_datastore("new")
        page = text_of(signed_in(admin).get(self.ASKED))
        assert '<td class="num">+10 GiB/day</td>' in page
        assert '<td class="num">86 days</td>' in page
        assert page.count('<td class="num">-</td>') == 2
        assert "/day" not in text_of(signed_in(admin).get("/datastores/"))

    def test_a_row_alone_has_it_too(self, admin: User, datastore: Datastore) -> None:
        path = f"{self.ASKED}&row={datastore.pk}"
        assert "+10 GiB/day" in text_of(signed_in(admin).get(path, headers={"HX-Request": "true"}))
        gone = signed_in(admin).get(f"{self.ASKED}&row=999999", headers={"HX-Request": "true"})
        assert gone.status_code == 200 and "<tr" not in text_of(gone)

    def test_a_file_has_numbers(self, admin: User, datastore: Datastore) -> None:
        a_datastore("new")
        response = signed_in(admin).get(f"{self.ASKED}&file=json")
        rows = json.loads(b"".join(response.streaming_content))
        assert rows == [
            {"name": "gold", "growth": 10 * GIB, "full": 86},
            {"name": "new", "growth": None, "full": None},
        ]

    def test_it_is_one_query_for_a_page(self, admin: User, datastore: Datastore) -> None:
        client = signed_in(admin)
        counts = []
        for _ in range(2):
            with CaptureQueriesContext(connection) as asked:
                client.get(self.ASKED)
            counts.append(len(asked))
            for _ in range(20):
                days_of(a_datastore(total=GIB, used=1, free=1), 1, 2, 3, 4, 5)
        assert counts[0] == counts[1]


@pytest.mark.parametrize("path", ["/", "/hosts/{host}/", "/datastores/{datastore}/"])
def test_a_page_costs_as_many_queries_with_samples_as_without(admin: User, path: str) -> None:
    datastore = a_datastore(total=1000 * GIB, used=140 * GIB, free=860 * GIB)
    host = datastore.hosts.get()
    client, counts = signed_in(admin), []
    for images in (0, 15):
        for number in range(images):
            an_image(admin, datastore=datastore, real_size=number)
        if images:
            filled(host)
            days_of(datastore, *range(70, 150, 10))
        with CaptureQueriesContext(connection) as asked:
            client.get(path.format(host=host.pk, datastore=datastore.pk))
        # the settings are read when they are two seconds old
        counts.append(sum("settingssection" not in query["sql"] for query in asked))
    assert counts[0] == counts[1]

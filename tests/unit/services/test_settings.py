"""Which value is in force, and how it is changed."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datastores.domain.errors import BadInput, Refused
from datastores.models import SettingsSection, User
from datastores.services import settings as kept
from datastores.services.images import check_source
from tests.unit.conftest import a_datastore

pytestmark = pytest.mark.django_db


def stored(section: str, **values: Any) -> None:
    SettingsSection.objects.update_or_create(name=section, defaults={"values": values})
    kept.forget()


def test_the_environment_gives_the_default_and_what_is_stored_wins(settings: Any) -> None:
    settings.MONITOR_SECONDS = 45
    assert kept.value("monitor_seconds") == 45
    kept.change("monitoring", 0, {"monitor_seconds": 90}, "anna")
    assert kept.value("monitor_seconds") == 90
    kept.change("monitoring", 1, {}, "anna", drop=["monitor_seconds"])
    assert kept.value("monitor_seconds") == 45


def test_every_default_passes_its_own_check() -> None:
    for section in kept.SECTIONS.values():
        section.check({each.key: each.check(each.default()) for each in section.settings})


@pytest.mark.parametrize(
    ("key", "nonsense"),
    [("monitor_seconds", "soon"), ("monitor_seconds", True), ("monitor_seconds", 0), ("monitor_seconds", None),
     ("keep_reads_days", 10**30), ("source_directories", "/srv"), ("source_directories", ["/etc"]),
     ("source_directories", [1]), ("brand_name", ""), ("brand_name", "a\nb"), ("brand_name", {"a": 1}),
     ("brand_tone", "url(x)"), ("base_url", "javascript:alert(1)")],
)  # fmt: skip
def test_nonsense_in_the_database_counts_as_not_there(
    key: str, nonsense: Any, caplog: pytest.LogCaptureFixture
) -> None:
    section = kept.OF[key]
    stored(section.name, **{key: nonsense})
    setting = section.setting(key)
    assert setting is not None
    with caplog.at_level(logging.WARNING):
        assert kept.value(key) == setting.default()
    assert key in caplog.text
    assert kept.judged(setting)[1]


def test_a_section_that_is_no_table_of_values_counts_as_not_there() -> None:
    SettingsSection.objects.create(name="monitoring", values=["x"])
    kept.forget()
    assert kept.value("monitor_seconds") == 60
    kept.change("monitoring", 1, {"monitor_seconds": 30}, "anna")
    assert kept.value("monitor_seconds") == 30


def test_of_two_who_change_a_section_the_second_is_told_who_was_first() -> None:
    kept.change("branding", 0, {"brand_name": "north"}, "anna")
    with pytest.raises(Refused, match="changed by anna meanwhile"):
        kept.change("branding", 0, {"brand_name": "south"}, "bert")
    assert kept.value("brand_name") == "north"
    kept.change("branding", kept.version_of("branding"), {"brand_label": "test"}, "bert")
    assert (kept.value("brand_name"), kept.value("brand_label")) == ("north", "test")


def test_samples_are_kept_the_longer_the_coarser_they_are() -> None:
    section = kept.SECTIONS["retention"]
    good = {each.key: each.default() for each in section.settings}
    section.check(good)
    with pytest.raises(BadInput, match="The coarser"):
        section.check(good | {"samples_raw_days": 60})


@pytest.mark.django_db(transaction=True)
def test_what_is_stored_is_read_once_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    kept.forget()
    with CaptureQueriesContext(connection) as asked:
        for _ in range(50):
            kept.value("monitor_seconds"), kept.value("brand_name")
    assert len(asked) == 1
    SettingsSection.objects.create(name="monitoring", values={"monitor_seconds": 7})  # by another process
    assert kept.value("monitor_seconds") == 60
    later = kept.time.monotonic() + kept.FRESH_SECONDS
    monkeypatch.setattr(kept.time, "monotonic", lambda: later)
    assert kept.value("monitor_seconds") == 7


def test_what_may_still_be_rolled_back_is_not_kept(django_assert_num_queries: Any) -> None:
    kept.value("brand_name")
    with django_assert_num_queries(1):
        kept.value("brand_name")  # a test is one transaction


def test_source_directories_are_those_of_the_settings(admin: User) -> None:
    datastore = a_datastore()
    check_source(datastore, "/var/tmp/disk.raw")
    kept.change("sources", 0, {"source_directories": ["/srv/import"]}, "anna")
    check_source(datastore, "/srv/import/disk.raw")
    with pytest.raises(BadInput, match="not below /srv/import"):
        check_source(datastore, "/var/tmp/disk.raw")
    kept.change("sources", 1, {"source_directories": []}, "anna")
    with pytest.raises(BadInput, match="No directory is allowed"):
        check_source(datastore, "/srv/import/disk.raw")
    datastore.source_directories = ["/srv/own"]
    check_source(datastore, "/srv/own/disk.raw")

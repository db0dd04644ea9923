"""The page of the caches of a datastore's hosts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from datastores.models import AuditEntry, CachedCopy, Datastore, DatastoreHost, Host, HostKey, Image, Job, User
from datastores.services.caching import caches
from datastores.services.placing import driver_of
from datastores.web.views.caches import HostCache, caches_of
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, an_image, signed_in, text_of

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmFh5OFy+kJkYcU0Fh5Bt7DhSWyHmNMlvT4o9Uu0Y2a"


@pytest.fixture
def store(db: None) -> Datastore:
    hosts = [a_host("nas"), a_host("node")]
    for host in hosts:
        HostKey.objects.create(host=host, line=KEY, fingerprint="SHA256:x", pinned_at=timezone.now())
    options = {"cache": True, "cache_limit": "10 GiB"}
    return a_datastore("local", kind="ssh", base="/srv/local", hosts=hosts, options=options)


@pytest.fixture
def gold(admin: User, store: Datastore) -> Image:
    return an_image(admin, "gold", datastore=store, data_digest="ab" * 32, real_size=GIB)


@pytest.fixture
def anna(admin: User) -> Client:
    return signed_in(admin)


def a_copy(image: Image, host: str = "node", **fields: Any) -> CachedCopy:
    values = {"image": image, "uuid": image.uuid, "name": image.name, "held": image.data_digest[:16], "format": "raw",
              "data_digest": image.data_digest, "taken": 2 * GIB, "state": "ready", "made_by": image.uuid}  # fmt: skip
    return CachedCopy.objects.create(member=DatastoreHost.objects.get(host__name=host), **(values | fields))


def shown(client: Client, store: Datastore) -> str:
    return text_of(client.get(f"/datastores/{store.pk}/cache/"))


def test_an_empty_cache_says_what_fills_it(anna: Client, store: Datastore) -> None:
    text = shown(anna, store)
    assert text.count("Nothing is cached here yet") == 2
    assert "no disk was made of an image here yet" in text
    assert f"/datastores/{store.pk}/cache/" in text_of(anna.get(f"/datastores/{store.pk}/"))


def test_a_copy_is_shown_with_what_lies_over_it(anna: Client, store: Datastore, gold: Image) -> None:
    copy = a_copy(gold)
    DatastoreHost.objects.filter(host__name="node").update(cache_uses=8, cache_hits=6)
    text = shown(anna, store)
    assert "75 % of 8 disks found their image here" in text
    assert "2 GiB of 10 GiB" in text
    evict = f"/datastores/{store.pk}/cache/{copy.pk}/evict/"
    assert evict in text
    a_disk(gold, base=copy)
    assert evict not in shown(anna, store)
    Image.objects.update(data_digest="")
    assert "the image was changed since" in shown(anna, store)


def test_the_page_needs_few_queries(store: Datastore, gold: Image, django_assert_max_num_queries: Any) -> None:
    for number in range(6):
        a_copy(gold, held=f"{number}")
    with django_assert_max_num_queries(5):
        found = caches_of(Datastore.objects.get(pk=store.pk))
    assert [len(each.copies) for each in found] == [0, 6]


def test_images_are_brought_to_hosts(anna: Client, store: Datastore, gold: Image) -> None:
    other = an_image(gold.owner, "other", datastore=store, data_digest="cd" * 32, real_size=GIB)
    a_copy(gold, "nas")
    hosts = list(Host.objects.values_list("pk", flat=True))
    asked = {"images": [gold.pk, other.pk], "hosts": hosts}
    anna.post(f"/datastores/{store.pk}/cache/warm/", asked)
    jobs = Job.objects.filter(kind="cache.warm")
    assert {(job.image.name, job.host.name) for job in jobs} == {("gold", "node"), ("other", "nas"), ("other", "node")}
    again = text_of(anna.post(f"/datastores/{store.pk}/cache/warm/", asked))
    assert "These hosts have copies of these images, or are getting them" in again
    assert jobs.count() == 3


def test_what_does_not_fit_is_refused_as_a_whole(anna: Client, store: Datastore, gold: Image) -> None:
    Image.objects.filter(pk=gold.pk).update(real_size=11 * GIB)
    asked = {"images": [gold.pk], "hosts": list(Host.objects.values_list("pk", flat=True))}
    text = text_of(anna.post(f"/datastores/{store.pk}/cache/warm/", asked))
    assert "gold does not fit into the cache of nas, which may hold 10 GiB" in text
    assert not Job.objects.exists() and not CachedCopy.objects.exists()


def test_a_copy_is_evicted_and_brought_again(anna: Client, store: Datastore, gold: Image) -> None:
    copy = a_copy(gold)
    anna.post(f"/datastores/{store.pk}/cache/{copy.pk}/evict/")
    assert Job.objects.get().kind == "cache.evict"
    Job.objects.all().delete()
    CachedCopy.objects.update(state="ready")
    anna.post(f"/datastores/{store.pk}/cache/{copy.pk}/again/")
    assert Job.objects.get().kind == "cache.warm"


def test_a_datastore_without_a_cache_has_no_such_page(anna: Client) -> None:
    store = a_datastore()
    answer = anna.get(f"/datastores/{store.pk}/cache/", follow=True)
    assert "keeps no copies of images on its hosts" in text_of(answer)


def test_who_only_reads_is_offered_nothing(auditor: User, store: Datastore, gold: Image) -> None:
    a_copy(gold)
    text = shown(signed_in(auditor), store)
    assert "gold" in text and '<form method="post" action="/datastores/' not in text


def test_the_limit_is_changed_later(anna: Client, store: Datastore) -> None:
    sent = {"name": "local", "version": store.version, "source_directories": ""}
    refused = text_of(anna.post(f"/datastores/{store.pk}/edit/", sent | {"cache_limit": "much"}))
    assert "A size is a number" in refused
    anna.post(f"/datastores/{store.pk}/edit/", sent | {"cache_limit": "2 TiB"})
    store.refresh_from_db()
    driver = caches(driver_of(Datastore.objects.get(pk=store.pk)))
    assert driver and driver.options.cache_bytes == 2 << 40
    entry = AuditEntry.objects.get(action="datastore.change")
    assert (entry.detail["before"]["limit of the cache"], entry.detail["after"]["limit of the cache"]) == (
        "10 GiB", "2 TiB"
    )  # fmt: skip


def test_a_full_cache_is_full(store: Datastore) -> None:
    member = store.members.first()
    assert HostCache(member, [CachedCopy(taken=12 * GIB)], 10 * GIB).percent == 120
    assert HostCache(member, [], GIB).hits is None


def test_images_are_found_by_their_names_and_told_apart(anna: Client, store: Datastore, gold: Image) -> None:
    other = a_datastore("slow")
    _, debian = (an_image(gold.owner, name, datastore=other, real_size=GIB) for name in ("gold", "debian"))
    text = shown(anna, store)
    assert "gold, in local, 1 GiB" in text and "gold, in slow, 1 GiB" in text and "debian, in slow" in text
    address = f"/datastores/{store.pk}/cache/"
    found = text_of(anna.get(address, {"find": "GOL", "images": debian.pk}))
    assert found.index("debian, in slow") < found.index("gold, in local"), "what was ticked stays, and comes first"
    assert re.search(rf'value="{debian.pk}"[^>]* checked', found)
    assert "debian" not in text_of(anna.get(address, {"find": "gold"}))
    assert "No image that can be cached is called so" in text_of(anna.get(address, {"find": "no such", "images": "x"}))


def test_of_many_images_some_are_shown(anna: Client, store: Datastore, gold: Image) -> None:
    for number in range(63):
        an_image(gold.owner, f"i{number:02}", datastore=store)
    assert "4 more are not shown" in shown(anna, store)

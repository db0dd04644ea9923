"""The page of a volume, and the form of a datastore that is made of bricks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from datastores.domain.plan import Output
from datastores.hosts.gluster_seen import VolumeKnown
from datastores.models import Brick, Datastore, Host, Job, Partition, User, VolumeReading
from datastores.services.volumes import remember_unread, remember_volume
from tests.unit.conftest import a_datastore, a_host, signed_in, text_of
from tests.unit.hosts.test_gluster import recorded

pytestmark = pytest.mark.django_db
PATH = "/srv/xfs/bricks/vms"


@pytest.fixture
def hosts(db: None) -> list[Host]:
    return [a_host(f"kvm{number}", address=f"h{number}") for number in (1, 2, 3, 4)]


@pytest.fixture
def vms(hosts: list[Host]) -> Datastore:
    """A datastore whose volume is as in the recordings."""
    store = a_datastore("vms", kind="gluster", base="/srv/vms", hosts=hosts, options={"allow": "10.0.*"})
    for place, host in enumerate(hosts[:3]):
        Brick.objects.create(datastore=store, host=host, peer=host.address, path=PATH, position=place)
    return store


@pytest.fixture
def anna(admin: User) -> Client:
    return signed_in(admin)


def read(store: Datastore, case: str, path: str = PATH, name: str = "vms") -> None:
    answers: list[Output] = [recorded(f"gluster_seen.VolumeKnown/{case}", number) for number in range(8)]
    remember_volume(store.pk, VolumeKnown("h1", name).facts(answers))
    Brick.objects.filter(datastore=store).update(path=path)


def shown(anna: Client, store: Datastore) -> str:
    return text_of(anna.get(f"/datastores/{store.pk}/volume/"))


def test_a_volume_that_nobody_has_read_yet_says_so(anna: Client, vms: Datastore) -> None:
    text = shown(anna, vms)
    assert "Not read yet" in text and "not read yet" in text and "kvm2" in text


def test_bricks_limits_and_options_are_shown_as_they_were_read(anna: Client, vms: Datastore) -> None:
    read(vms, "present")
    text = shown(anna, vms)
    assert text.count("online") == 3 and "offline" not in text
    for words in ("replicate 1 x 3", "39.9 GiB", "auth.allow", "10.77.*", "512 B of 1 GiB", "known as h2"):
        assert words in text, words
    assert f'href="/datastores/{vms.pk}/volume/"' in text_of(anna.get(f"/datastores/{vms.pk}/"))


def test_a_dead_peer_and_a_dead_brick_are_told_in_sentences(anna: Client, vms: Datastore) -> None:
    read(vms, "a-peer-off")
    text = shown(anna, vms)
    assert "offline" in text and "unknown" in text
    assert "h3 does not answer the pool" in text and "no more of them may fail" in text


def test_a_volume_that_could_not_be_read_shows_what_was_known(anna: Client, vms: Datastore) -> None:
    read(vms, "present")
    remember_unread(vms.pk, "gluster on h1 failed")
    text = shown(anna, vms)
    assert "It could not be read: gluster on h1 failed" in text and "online" in text


def test_a_copy_is_chosen_only_where_there_is_something_to_choose(anna: Client, vms: Datastore) -> None:
    read(vms, "present")
    assert "Choose which copy is right" not in shown(anna, vms)
    read(vms, "split-brain", "/srv/xfs/bricks/torn", "torn")
    assert "Choose which copy is right" in shown(anna, vms)
    sent = {"entry": "/d/g", "source": "h2:/srv/xfs/bricks/torn"}
    anna.post(f"/datastores/{vms.pk}/volume/choose/", sent)
    assert Job.objects.get().params == {"peer": "h2", "path": "/srv/xfs/bricks/torn", "entry": "/d/g"}


@pytest.mark.parametrize(
    ("name", "sent", "kept"),
    [
        (
            "option",
            {"option": "network.ping-timeout", "value": "10"},
            {"option": "network.ping-timeout", "value": "10"},
        ),
        ("quota", {"path": "/", "size": "10 GiB"}, {"path": "/", "size": 10 << 30}),
        ("replace", {"old": f"h3:{PATH}", "new": f"kvm4:{PATH}"}, {"peer": "h3", "path": PATH, "clear": False}),
    ],
)
def test_what_is_asked_for_becomes_a_job_that_shows_its_plan(
    anna: Client, vms: Datastore, name: str, sent: dict[str, str], kept: dict[str, Any]
) -> None:
    answer = anna.post(f"/datastores/{vms.pk}/volume/{name}/", sent)
    job = Job.objects.get()
    assert (job.kind, answer.url) == (f"volume.{name}", f"/jobs/{job.uuid}/plan/")
    assert kept.items() <= job.params.items()


@pytest.mark.parametrize(
    ("name", "sent", "why"),
    [
        ("add", {"bricks_to_add": "kvm4:/srv/xfs/bricks/more"}, "3, 6, 9 and so on, not 4"),
        ("add", {"bricks_to_add": "kvm9:/srv/xfs/bricks/more"}, "kvm9 is not among the hosts"),
        ("add", {"bricks_to_add": "/srv/xfs/bricks/more"}, "is no brick"),
        ("remove", {"gone": [f"h3:{PATH}"]}, "whole sets"),
        ("rebalance", {"way": "files"}, "one set of bricks only"),
        ("give", {"addresses": "10.0.0.7,h8"}, "is no address"),
        ("give", {"addresses": ""}, "This field is required"),
        ("option", {"option": "auth.allow", "value": "*"}, "follows from the hosts"),
    ],
)
def test_what_cannot_be_done_is_told_beside_the_form(
    anna: Client, vms: Datastore, name: str, sent: dict[str, Any], why: str
) -> None:
    text = text_of(anna.post(f"/datastores/{vms.pk}/volume/{name}/", sent))
    assert why in text and "Volume of vms" in text
    assert not Job.objects.exists()


def test_a_partition_is_given_and_its_owner_is_told_how_to_mount_it(anna: Client, vms: Datastore) -> None:
    tina = User.objects.create(username="tina", role=User.Role.TENANT)
    sent = {"name": "blue", "owner": tina.pk, "size": "10 GiB", "addresses": "10.9.0.7, 10.9.0.8,\n10.9.3.*"}
    anna.post(f"/datastores/{vms.pk}/volume/give/", sent)
    job = Job.objects.get()
    assert (job.kind, job.params["addresses"]) == ("volume.give", ["10.9.0.7", "10.9.0.8", "10.9.3.*"])
    assert "Take a partition back" not in shown(anna, vms)
    Partition.objects.create(datastore=vms, name="blue", owner=tina, size=10 << 30, addresses=["10.0.0.7"])
    read(vms, "present")
    text = shown(anna, vms)
    assert "tina" in text and "Take a partition back" in text
    mount = "mount -t glusterfs h1:/vms/partitions/blue /srv/blue"
    assert mount in text_of(signed_in(tina).get("/"))
    other = User.objects.create(username="theo", role=User.Role.TENANT)
    assert "partitions/blue" not in text_of(signed_in(other).get("/"))


def test_auditors_see_it_and_change_nothing(vms: Datastore) -> None:
    auditor = User.objects.create(username="arno", role=User.Role.AUDITOR)
    text = shown(signed_in(auditor), vms)
    assert "Bricks" in text and "Set an option" not in text and "Heal now" not in text


def test_the_page_of_the_datastore_says_what_is_wrong_with_its_volume(anna: Client, vms: Datastore) -> None:
    page = f"/datastores/{vms.pk}/"
    read(vms, "present")
    assert "See its" not in text_of(anna.get(page))
    read(vms, "split-brain", "/srv/xfs/bricks/torn", "torn")
    text = text_of(anna.get(page))
    assert "contradict each other" in text and f'See its <a href="{page}volume/">' in text


def test_addresses_break_between_each_other(anna: Client, vms: Datastore) -> None:
    read(vms, "present")
    reading = VolumeReading.objects.get()
    reading.seen["options"]["auth.allow"] = "10.0.0.1,<b>"
    reading.save()
    assert "10.0.0.1,<wbr>&lt;b&gt;" in shown(anna, vms)


def test_a_form_that_was_refused_has_the_help_of_its_page(anna: Client, vms: Datastore) -> None:
    text = text_of(anna.post(f"/datastores/{vms.pk}/volume/add/", {"bricks_to_add": "nonsense"}))
    assert "/help/operators/#glusterfs" in text


def test_another_kind_has_no_volume(anna: Client) -> None:
    other = a_datastore("gold", kind="qcow2")
    assert anna.get(f"/datastores/{other.pk}/volume/").url == f"/datastores/{other.pk}/"
    assert "volume/" not in text_of(anna.get(f"/datastores/{other.pk}/"))


class TestTheFormOfANewOne:
    def sent(self, hosts: list[Host], *bricks: str, **options: str) -> dict[str, Any]:
        return {
            "kind": "gluster", "name": "vms", "type": "image", "base": "/srv/vms", "storage_host": hosts[0].pk,
            "other_hosts": [host.pk for host in hosts[1:]], "options-gluster-bricks": "\n".join(bricks),
            **{f"options-gluster-{name}": value for name, value in options.items()},
        }  # fmt: skip

    def test_bricks_are_named_one_a_line(self, anna: Client, hosts: list[Host]) -> None:
        bricks = [f"kvm{number}:{PATH}" for number in (1, 2, 3)]
        assert "May mount" in text_of(anna.post("/datastores/new/", self.sent(hosts, *bricks)))
        anna.post("/datastores/new/", self.sent(hosts, *bricks, allow="10.0.*"))
        assert [str(brick) for brick in Brick.objects.all()] == bricks

    def test_a_brick_of_another_host_is_told(self, anna: Client, hosts: list[Host]) -> None:
        text = text_of(anna.post("/datastores/new/", self.sent(hosts, "nas:/srv/x")))
        assert "nas is not among the hosts of the datastore" in text
        assert not Datastore.objects.exists()

    def test_what_is_wrong_is_said_while_it_is_filled_in(self, anna: Client, hosts: list[Host]) -> None:
        told = lambda *bricks, **options: text_of(anna.get("/datastores/bricks/", self.sent(hosts, *bricks, **options)))  # noqa: E731
        assert "not 2" in told(f"kvm1:{PATH}", f"kvm2:{PATH}")
        two = told(f"kvm1:{PATH}", f"kvm2:{PATH}", set_size="2")
        assert "split-brain" in two and "files get 50% of the room" in two
        assert told().strip() == ""
        assert "is no brick" in told("kvm1") and "is no brick" in told(f"kvm1:{PATH}", "<script>", storage_host="")

    def test_where_something_is_wrong_the_page_opens_there(self, anna: Client, hosts: list[Host]) -> None:
        text = text_of(anna.post("/datastores/new/", self.sent(hosts, "nonsense", redundancy="many")))
        focused = re.findall(r'name="([^"]+)"[^>]* autofocus', text)
        assert focused == ["options-gluster-bricks"], "the first of two"
        assert "autofocus" not in text_of(anna.get("/datastores/new/"))

    def test_the_options_ask_for_bricks_where_there_are_any(self, anna: Client) -> None:
        assert "Bricks" in text_of(anna.get("/datastores/options/?kind=gluster"))
        assert "bricks" not in text_of(anna.get("/datastores/options/?kind=nfs"))


def test_a_reading_goes_with_its_datastore(vms: Datastore) -> None:
    read(vms, "present")
    vms.delete()
    assert not VolumeReading.objects.exists()

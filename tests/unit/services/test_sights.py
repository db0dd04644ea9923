"""Which hosts have to see which datastores, and what becomes of what they say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.alerts import findings
from datastores.domain.states import HostState, ObjectState
from datastores.models import Datastore, DatastoreHost, Host, User
from datastores.services.alert_facts import gather
from datastores.services.sights import remember_sights, wanted_sights
from tests.unit.conftest import a_datastore, a_host, signed_in, text_of

pytestmark = pytest.mark.django_db
HOSTILE = "<img src=x onerror=alert(1)>"


def gold(**fields: Any) -> tuple[Datastore, Host, Host]:
    nas, kvm = a_host("nas"), a_host("kvm1")
    return a_datastore("gold", base="/srv/gold", hosts=[nas, kvm], **({"kind": "shared"} | fields)), nas, kvm


def member(host: Host) -> DatastoreHost:
    return DatastoreHost.objects.get(host=host)


def told() -> list[str]:
    found = findings(gather([], [], []))
    return [f"{each.label}: {each.text}" for each in found if each.rule.name == "stale_mount"]


class TestWanted:
    def test_whoever_uses_a_shared_datastore_has_to_see_it_and_its_storage_host_is_asked_elsewhere(self) -> None:
        _, _, kvm = gold()
        [(host, sights)] = wanted_sights().items()
        assert host == kvm.pk
        [(key, sight)] = sights.items()
        assert (key, sight.path, sight.mount_point) == (member(kvm).pk, "/srv/gold", "/srv/gold")

    def test_what_has_to_be_mounted_is_what_the_options_say(self) -> None:
        gold(options={"mounted": "nowhere"})
        [[sight]] = [list(sights.values()) for sights in wanted_sights().values()]
        assert sight.mount_point == ""

    def test_a_datastore_that_is_on_its_storage_host_alone_need_not_be_seen(self) -> None:
        gold(kind="xfs")
        assert wanted_sights() == {}

    def test_one_that_is_exported_has_to_be_seen(self) -> None:
        gold(kind="xfs", options={"exported": True})
        assert len(wanted_sights()) == 1

    @pytest.mark.parametrize("state", [state for state in ObjectState if state != ObjectState.READY])
    def test_one_that_is_not_ready_need_not_be_seen(self, state: ObjectState) -> None:
        gold(state=state)
        assert wanted_sights() == {}

    def test_one_whose_options_are_not_acceptable_hides_no_other(self) -> None:
        _, nas, kvm = gold()
        a_datastore("broken", kind="shared", hosts=[nas, kvm], options={"no": "such"})
        assert [len(sights) for sights in wanted_sights().values()] == [1]

    def test_more_datastores_and_hosts_need_no_more_queries(self, django_assert_num_queries: Any) -> None:
        hosts = [a_host() for _ in range(5)]
        for _ in range(10):
            a_datastore(kind="shared", hosts=hosts)
        with django_assert_num_queries(2):
            assert sum(map(len, wanted_sights().values())) == 40


class TestFound:
    def test_a_host_that_does_not_see_it_is_named_with_the_datastore(self) -> None:
        _, _, kvm = gold()
        remember_sights({member(kvm).pk: "It is stale."}, timezone.now())
        assert told() == ["gold on kvm1: It is stale."]
        remember_sights({member(kvm).pk: ""}, timezone.now())
        assert told() == []

    def test_what_is_not_known_leaves_it_as_it_was(self) -> None:
        _, _, kvm = gold()
        then = timezone.now() - timedelta(minutes=10)
        remember_sights({member(kvm).pk: "It is stale."}, then)
        remember_sights({member(kvm).pk: None}, timezone.now())
        assert (member(kvm).unseen, member(kvm).looked_at) == ("It is stale.", then)

    @pytest.mark.parametrize("fields", [{"maintenance": True}, {"state": HostState.UNREACHABLE}])
    def test_a_host_out_of_use_is_not_told_of(self, fields: dict[str, Any]) -> None:
        _, _, kvm = gold()
        remember_sights({member(kvm).pk: "It is stale."}, timezone.now())
        Host.objects.filter(pk=kvm.pk).update(**fields)
        assert told() == []

    def test_what_nobody_has_looked_at_for_an_hour_is_not_told(self) -> None:
        _, _, kvm = gold()
        remember_sights({member(kvm).pk: "It is stale."}, timezone.now() - timedelta(minutes=61))
        assert told() == []

    def test_a_host_that_has_become_the_storage_host_is_not_told_of(self) -> None:
        _, nas, kvm = gold()
        remember_sights({member(kvm).pk: "It is stale."}, timezone.now())
        DatastoreHost.objects.filter(host=nas).delete()
        DatastoreHost.objects.filter(host=kvm).update(position=0)
        assert told() == []

    def test_a_host_that_was_taken_out_meanwhile_is_left_out(self) -> None:
        _, _, kvm = gold()
        key = member(kvm).pk
        DatastoreHost.objects.filter(pk=key).delete()
        remember_sights({key: "It is stale."}, timezone.now())
        assert told() == []

    def test_the_page_of_the_datastore_says_who_does_not_see_it_and_why(self, admin: User) -> None:
        datastore, _, kvm = gold()
        remember_sights({member(kvm).pk: HOSTILE}, timezone.now())
        page = text_of(signed_in(admin).get(f"/datastores/{datastore.pk}/"))
        assert "kvm1</a> does not see it. &lt;img src=x" in page
        assert HOSTILE not in page

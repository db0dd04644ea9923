"""What several datastores of a host stand on is left to the others."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.plan import AnyStep, Command
from datastores.hosts.accounts import GroupHasId, UserHasId
from datastores.hosts.gluster_pool import PeerProbed
from datastores.hosts.gluster_volumes import VolumeExists
from datastores.hosts.journal import Undoable
from datastores.hosts.services import ServiceRunning
from datastores.hosts.stages import steps_of
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Brick, Datastore, Host, Job, User
from datastores.services.shared import needed_by_others
from tests.unit.conftest import a_datastore, a_host, a_step

pytestmark = pytest.mark.django_db
IDS = {"owner": "oneadmin", "group": "cloud", "owner_id": 1001, "group_id": 1001}


@pytest.fixture
def hosts(db: None) -> list[Host]:
    return [a_host(name) for name in ("h1", "h2", "h3")]


def a_gluster(name: str, hosts: list[Host], **fields: Any) -> Datastore:
    store = a_datastore(name, kind="gluster", base=f"/srv/{name}", hosts=hosts, **({"options": IDS} | fields))
    for place, host in enumerate(hosts):
        Brick.objects.create(
            datastore=store, host=host, peer=host.address, path=f"/bricks/{name}/brick", position=place
        )
    return store


def made_by(admin: User, store: Datastore) -> dict[int, AnyStep]:
    """Give the datastore the job that made it, with its steps. Return these by their numbers."""
    job = Job.objects.create(user=admin, kind="datastore.create", datastore=store, title="Create", state="succeeded")
    steps = steps_of(KINDS[job.kind].plan(job))
    for index, step in enumerate(steps):
        a_step(job, step.title, step.host, index=index, machine=Host.objects.get(name=step.host))
    return dict(enumerate(steps))


def needed(store: Datastore, steps: dict[int, AnyStep], *types: type, undo: str = "undo -- it") -> set[str]:
    """Return what is said of what steps of these types have made."""
    asked = needed_by_others(Job.objects.get(kind="datastore.create", datastore=store))
    entries = (Undoable(n, 0, step.host, Command(tuple(undo.split()))) for n, step in steps.items()
               if isinstance(step, types))  # fmt: skip
    return {asked(entry) for entry in entries}


def test_daemons_accounts_and_peers_stay_for_another_datastore_of_the_same_hosts(
    admin: User, hosts: list[Host]
) -> None:
    one = a_gluster("one", hosts)
    steps = made_by(admin, one)
    shared = ServiceRunning, GroupHasId, UserHasId, PeerProbed
    assert needed(one, steps, *shared) == {""}
    a_gluster("two", hosts)
    assert needed(one, steps, *shared) == {"the datastore two needs it"}
    assert needed(one, steps, VolumeExists) == {""}, "that is its own"


def test_a_pool_stays_though_another_of_its_hosts_was_asked_to_make_it(admin: User, hosts: list[Host]) -> None:
    one = a_gluster("one", hosts)
    steps = made_by(admin, one)
    a_gluster("two", [hosts[2], hosts[0]], options={"set_size": 2})
    told = {step.peer: needed(one, {n: step}, PeerProbed) for n, step in steps.items() if isinstance(step, PeerProbed)}
    assert told == {hosts[1].address: {""}, hosts[2].address: {"the datastore two needs it"}}


def test_an_account_stays_for_a_datastore_that_only_names_it(admin: User, hosts: list[Host]) -> None:
    one = a_gluster("one", hosts)
    steps = made_by(admin, one)
    a_datastore("files", kind="shared", hosts=hosts, options={"owner": "oneadmin"})
    assert needed(one, steps, UserHasId, undo="userdel -- oneadmin") == {"the datastore files needs it"}
    assert needed(one, steps, GroupHasId, undo="groupdel -- cloud") == {""}


def test_other_hosts_and_datastores_that_were_never_made_need_nothing(admin: User, hosts: list[Host]) -> None:
    one = a_gluster("one", hosts)
    steps = made_by(admin, one)
    a_gluster("failed", hosts, state="error")
    a_gluster("elsewhere", [a_host(), a_host(), a_host()])
    assert needed(one, steps, ServiceRunning) == {""}


def test_a_datastore_that_comes_to_a_host_needs_what_is_there(admin: User, hosts: list[Host]) -> None:
    one = a_datastore("one", kind="nfs", base="/srv/one", hosts=hosts[:2], options=IDS)
    steps = made_by(admin, one)
    two = a_datastore("two", kind="nfs", base="/srv/two", hosts=[a_host()], options=IDS)
    assert needed(one, steps, GroupHasId) == {""}
    submit("datastore.hosts", user=admin, params={"add": [hosts[1].pk], "remove": []}, datastore=two)
    assert needed(one, steps, GroupHasId) == {"", "the datastore two needs it"}

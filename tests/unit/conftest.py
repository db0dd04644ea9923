"""People, rows, and a site without Redis, for the tests that need neither hosts nor workers.

Rows are made by plain functions; each gives what is not named a sensible value.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from datastores.domain.states import EventKind, HostState, JobState, Level, ObjectState, StepState
from datastores.jobs import submit as submit_module
from datastores.models import (
    Alert,
    Credential,
    Datastore,
    DatastoreHost,
    Disk,
    Drift,
    Host,
    Image,
    Job,
    JobEvent,
    JobStep,
    User,
    VirtualMachine,
)
from datastores.models.audit import in_turn
from datastores.services.settings import forget

GIB = 1 << 30
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _no_redis(settings: Any) -> None:
    """Everything that a server would have in Redis is in this process; static files are as they lie there."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.WHITENOISE_AUTOREFRESH = True  # else every test client would read the list of all static files first
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AXES_ENABLED = False
    cache.clear()


@pytest.fixture(autouse=True)
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The UUIDs of the jobs that were handed to a queue, in order."""
    uuids: list[str] = []
    monkeypatch.setattr(submit_module, "hand_over", lambda jobs: uuids.extend(str(job.uuid) for job in jobs))
    return uuids


@pytest.fixture(autouse=True)
def _no_settings_of_the_test_before() -> None:
    """What is stored is kept for a moment in this process; tests empty the tables sooner."""
    forget()


# People


def person(name: str, role: str, **fields: Any) -> User:
    return User.objects.create(username=name, role=role, **fields)


@pytest.fixture
def admin(db: None) -> User:
    return person("anna", User.Role.ADMIN)


@pytest.fixture
def operator(db: None) -> User:
    return person("olga", User.Role.OPERATOR)


@pytest.fixture
def alice(db: None) -> User:
    """A tenant."""
    return person("alice", User.Role.TENANT)


@pytest.fixture
def bob(db: None) -> User:
    """Another tenant."""
    return person("bob", User.Role.TENANT)


@pytest.fixture
def auditor(db: None) -> User:
    return person("audrey", User.Role.AUDITOR)


def signed_in(user: User) -> Client:
    """Return a browser in which the person is signed in."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def text_of(response: Any) -> str:
    """Return the page, or the part of one, that was answered."""
    text: str = response.content.decode()
    return text


def before_the_turn(monkeypatch: pytest.MonkeyPatch, module: str, happens: Callable[[], object]) -> None:
    """Let something happen after a request has looked its rows up, while it waits for its turn to change them."""

    @contextlib.contextmanager
    def waited() -> Iterator[None]:
        happens()
        with in_turn():
            yield

    monkeypatch.setattr(f"{module}.in_turn", waited)


# Rows


def a_credential(**fields: Any) -> Credential:
    return Credential.objects.create(**({"name": f"key {next(_numbers)}", "use_agent": True} | fields))


def a_host(name: str = "", **fields: Any) -> Host:
    """A host that is ready: onboarded, and read."""
    number = next(_numbers)
    values = {
        "name": name or f"h{number}",
        "address": f"10.0.{number // 250}.{number % 250 + 1}",
        "state": HostState.READY,
        "facts_at": None if fields.get("state") == HostState.NEW else timezone.now(),
    } | fields
    values.setdefault("credential", Credential.objects.first() or a_credential())
    return Host.objects.create(**values)


def a_datastore(name: str = "", *, hosts: list[Host] | None = None, **fields: Any) -> Datastore:
    """An xfs datastore that is ready, on one host of its own."""
    number = next(_numbers)
    values = {"name": name or f"ds{number}", "kind": "xfs", "base": f"/srv/ds{number}", "state": ObjectState.READY}
    datastore = Datastore.objects.create(**(values | fields))
    for position, host in enumerate(hosts or [a_host()]):
        DatastoreHost.objects.create(datastore=datastore, host=host, position=position)
    return datastore


def an_image(owner: User, name: str = "", **fields: Any) -> Image:
    """A raw image of 25 GiB that is ready."""
    values = {"name": name or f"image{next(_numbers)}", "state": ObjectState.READY, "virtual_size": 25 * GIB} | fields
    values.setdefault("datastore", Datastore.objects.filter(type=Datastore.Type.IMAGE).first() or a_datastore())
    return Image.objects.create(owner=owner, **values)


def a_vm(owner: User, name: str = "", **fields: Any) -> VirtualMachine:
    return VirtualMachine.objects.create(owner=owner, name=name or f"vm{next(_numbers)}", **fields)


def a_disk(image: Image, vm: VirtualMachine | None = None, **fields: Any) -> Disk:
    """A clone of the image, of a VM of its owner."""
    machine = vm or a_vm(image.owner)
    values = {"number": machine.disks.count(), "kind": Disk.Kind.CLONE, "format": image.format,
              "virtual_size": image.virtual_size, "state": ObjectState.READY, "datastore": image.datastore}  # fmt: skip
    return Disk.objects.create(vm=machine, image=image, **(values | fields))


def a_job(user: User, kind: str = "image.checksum", **fields: Any) -> Job:
    """A job that succeeded."""
    values = {"title": f"Job {next(_numbers)}", "state": JobState.SUCCEEDED, "user_label": user.username} | fields
    if values["state"] in {JobState.SUCCEEDED, JobState.FAILED, JobState.ERRORED, JobState.CANCELLED}:
        values.setdefault("ended_at", timezone.now())
    return Job.objects.create(user=user, kind=kind, **values)


def an_alert(label: str = "gold", **fields: Any) -> Alert:
    """An alert that fires: a datastore is nearly full."""
    now = timezone.now()
    values = {
        "rule": "datastore_full", "subject": f"datastore:{next(_numbers)}", "severity": "critical", "state": "firing",
        "text": "93 % used, 7 GiB free.", "since": now, "last_seen": now, "fired_at": now,
    }  # fmt: skip
    return Alert.objects.create(label=label, **(values | fields))


def a_step(job: Job, title: str = "a file is there", host: str = "h1", **fields: Any) -> JobStep:
    values = {"index": job.steps.count(), "state": StepState.WAITING} | fields
    return JobStep.objects.create(job=job, host=host, title=title, **values)


def write_log(job: Job, *texts: str, lines_before: int = 0, **fields: Any) -> list[JobEvent]:
    """Append entries to a job's log, one for each text, as ``jobs.log`` would."""
    last = job.events.order_by("-seq").first()
    seq, line = (last.seq, last.first_line + last.lines) if last else (0, lines_before + 1)
    events = []
    for text in texts:
        seq += 1
        values = {"kind": EventKind.OUTPUT, "level": Level.INFO, "at": timezone.now()} | fields
        events.append(JobEvent(job=job, seq=seq, first_line=line, lines=text.count("\n") + 1, text=text, **values))
        line += events[-1].lines
    return JobEvent.objects.bulk_create(events)


def a_drift(**fields: Any) -> Drift:
    """An open difference: a directory of a host has another mode, and a step can put that right."""
    number = next(_numbers)
    now = timezone.now()
    do = {"type": "command", "argv": ["chmod", "0755", "--", "/srv/ds"], "root": True, "timeout": 60.0}
    undo = {"argv": ["chmod", "0700", "--", "/srv/ds"], "root": True, "timeout": 60.0}
    action = {"do": do, "undo": undo, "scratch": False, "final": False, "harmless": False}
    values = {
        "key": f"key {number}", "owner": "datastore.create", "label": f"ds{number}", "kind": Drift.Kind.DIFFERS,
        "title": f"/srv/ds{number} is a directory", "fingerprint": f"print {number}", "first_seen": now,
        "last_seen": now, "change": {"summary": "change mode", "note": "", "actions": [action]},
    } | fields  # fmt: skip
    if "host" not in fields:
        values["host"] = a_host()
    if values["kind"] != Drift.Kind.DIFFERS:
        values["change"] = None
    return Drift.objects.create(**values)

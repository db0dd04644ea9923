"""A running product with real hosts: driven over HTTP as people drive it, and looked at from behind."""

from __future__ import annotations

import copy
import http.client
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import dj_database_url
from django.db import connections
from django.db.models import Model, QuerySet

from datastores.domain.states import HostState, JobState
from datastores.jobs.kinds import KINDS
from datastores.management.visitor import Visitor
from datastores.models import Datastore, Disk, Host, HostKey, Image, Job, JobEvent, VirtualMachine
from datastores.models.fields import EncryptedTextField
from tests import stack
from tests.faults.points import Points
from tests.lab.host import Host as Machine
from tests.lab.lab import Lab

M = TypeVar("M", bound=Model)
REFUSED = {http.client.BAD_REQUEST, http.client.CONFLICT}


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = 30) -> Any:
    """Return the first true answer. Fails, saying what did not come."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return answer


def open_database(alias: str, product: stack.Stack) -> None:
    """Let this process look into the product's own database, under this alias."""
    url = product.env.get("DATABASE_URL") or f"sqlite:///{product.data / 'cloudstore.sqlite3'}"
    connections.databases[alias] = {**connections.databases["default"], **dj_database_url.parse(url)}


@dataclass
class Installation:
    """``alias``: of its database in this process. ``admin``: signed in."""

    stack: stack.Stack
    lab: Lab
    points: Points
    admin: Visitor
    alias: str = "product"

    # Rows

    def rows(self, model: type[M]) -> QuerySet[M]:
        """Return the rows of a model; secrets stay where only the product can read them."""
        secret = [field.name for field in model._meta.fields if isinstance(field, EncryptedTextField)]
        return model._default_manager.using(self.alias).defer(*secret)

    def fresh(self, row: M) -> M:
        return self.rows(type(row)).get(pk=row.pk)

    def job(self, uuid: str) -> Job:
        return self.rows(Job).get(uuid=uuid)

    def events(self, job: Job) -> list[JobEvent]:
        return list(self.rows(JobEvent).filter(job_id=job.pk).order_by("seq"))

    def log(self, job: Job) -> str:
        return "\n".join(event.text for event in self.events(job))

    # What people do

    def twin(self, visitor: Visitor | None = None) -> Visitor:
        """Return the same person in another tab: the session is shared, the connection is not."""
        other = copy.copy(visitor or self.admin)
        other.http = http.client.HTTPConnection(other.host, timeout=60)
        return other

    def send(self, path: str, fields: dict[str, Any], by: Visitor | None = None) -> tuple[int, Any]:
        """Post a form; return status and answer. The server may have closed a connection that was idle."""
        who = by or self.admin
        who.http.close()
        status, body = who.request("POST", path, fields)
        return status, json.loads(body) if status in {*REFUSED, http.client.ACCEPTED} else body

    def ask(self, path: str, *, by: Visitor | None = None, **fields: Any) -> Job:
        """Post a form that becomes a job."""
        answer = self.answer(path, by=by, **fields)
        assert isinstance(answer, Job), f"{path} refused: {answer}"
        return answer

    def refusal(self, path: str, *, by: Visitor | None = None, **fields: Any) -> str:
        """Post a form that is refused, and return why."""
        answer = self.answer(path, by=by, **fields)
        assert isinstance(answer, str), f"{path} was not refused: {answer}"
        return answer

    def answer(self, path: str, *, by: Visitor | None = None, **fields: Any) -> Job | str:
        """Post a form; return the job that it became, or why it was refused."""
        status, said = self.send(path, fields, by)
        assert status in {*REFUSED, http.client.ACCEPTED}, f"{path} answered {status}: {said[:500]}"
        return str(said["error"]) if status in REFUSED else self.job(said["jobs"][0]["uuid"])

    def press(self, path: str, **fields: Any) -> None:
        """Post a form that leads to another page."""
        status, said = self.send(path, fields)
        assert status in {http.client.FOUND, http.client.ACCEPTED}, f"{path} answered {status}: {str(said)[:500]}"

    def in_state(self, job: Job, *states: JobState, seconds: float = 60) -> Job:
        def there() -> Job | None:
            fresh = self.fresh(job)
            assert fresh.state in states or not fresh.ended, f"{fresh}: {fresh.state}. {fresh.error}\n{self.log(job)}"
            return fresh if fresh.state in states else None

        found: Job = wait_for(there, f"{job} {' or '.join(states)}, it is {self.fresh(job).state}", seconds=seconds)
        return found

    def succeeded(self, job: Job, *, seconds: float = 60) -> Job:
        return self.in_state(job, JobState.SUCCEEDED, seconds=seconds)

    def failed(self, job: Job, *, seconds: float = 60) -> Job:
        return self.in_state(job, JobState.FAILED, seconds=seconds)

    def ended(self, job: Job, *, seconds: float = 60) -> Job:
        found: Job = wait_for(lambda: (now := self.fresh(job)).ended and now, f"the end of {job}", seconds=seconds)
        return found

    # Things to work with

    def machine(self, name: str) -> Machine:
        return self.lab.host(name)

    def wait_for_hosts(self) -> None:
        """Let it be noticed that hosts answer again; until then no job is taken for them."""
        away = self.rows(Host).filter(name__in=("h1", "h2"), state=HostState.UNREACHABLE)
        wait_for(lambda: not away.exists(), "every host is found again", seconds=90)

    def add_host(self, name: str, **fields: Any) -> Host:
        """Add a host as a person does, and pin the key that the lab gave it."""
        machine = self.machine(fields.pop("machine", name))
        fields = {"account": "root", "how": "pasted", "private_key": self.lab.key.read_text()} | fields
        self.press("/hosts/new/", name=name, address=machine.address, port=machine.port, **fields)
        host = self.rows(Host).get(name=name)
        self.pin(host, machine.host_key)
        return host

    def pin(self, host: Host, known: str) -> None:
        self.press(f"/hosts/{host.pk}/scan/")
        offered = {key.line.split()[1]: key for key in self.rows(HostKey).filter(host_id=host.pk)}
        self.press(f"/hosts/{host.pk}/pin/{offered[known.split()[1]].pk}/")

    def onboard(self, name: str, **fields: Any) -> Host:
        host = self.add_host(name, **fields)
        self.succeeded(self.ask(f"/hosts/{host.pk}/onboard/"))
        return self.fresh(host)

    def ask_for_datastore(self, name: str, base: str, *, kind: str = "xfs", host: str = "h1", **options: str) -> Job:
        storage = self.rows(Host).get(name=host)
        chosen = {f"options-{kind}-{option}": value for option, value in options.items()}
        return self.ask(
            "/datastores/new/", kind=kind, name=name, type="image", base=base, storage_host=storage.pk, **chosen
        )

    def new_datastore(self, name: str, base: str, **how: str) -> Job:
        """Ask for a datastore, and return the job when its plan waits for approval."""
        return self.in_state(self.ask_for_datastore(name, base, **how), JobState.AWAITING)

    def datastore(self, name: str, base: str, **how: str) -> Datastore:
        job = self.new_datastore(name, base, **how)
        self.ask(f"/jobs/{job.uuid}/approve/")
        self.succeeded(job)
        return self.rows(Datastore).get(name=name)

    def register(self, datastore: Datastore, name: str, source: str, **fields: Any) -> Job:
        fields = {"type": "OS", "format": "raw"} | fields
        return self.ask("/images/register/", datastore=datastore.pk, name=name, source=source, **fields)

    def image(self, datastore: Datastore, name: str, source: str, **fields: Any) -> Image:
        self.succeeded(self.register(datastore, name, source, **fields))
        return self.rows(Image).get(datastore_id=datastore.pk, name=name)

    def clone(self, image: Image, vm: str) -> Job:
        return self.ask(f"/images/{image.pk}/disks/", count=1, vm_name=vm)

    def vm(self, name: str) -> VirtualMachine:
        self.press("/vms/new/", name=name)
        return self.rows(VirtualMachine).get(name=name)

    def undo(self, job: Job) -> Job:
        """Take a job back; what it made is deleted, so its name is typed."""
        fresh = self.fresh(job)
        name = KINDS[fresh.kind].destroyed_by_undo(fresh) if fresh.state == JobState.SUCCEEDED else ""
        return self.ask(f"/jobs/{job.uuid}/undo/", confirm_name=name)

    def discard_all(self, datastore: Datastore) -> None:
        """Delete a datastore with everything in it."""
        self.discard(*VirtualMachine.objects.using(self.alias).filter(disks__datastore=datastore))
        self.discard(*self.rows(Image).filter(datastore_id=datastore.pk))
        job = self.ask(f"/datastores/{datastore.pk}/delete/", confirm_name=datastore.name)
        self.in_state(job, JobState.AWAITING)
        self.ask(f"/jobs/{job.uuid}/approve/")
        self.succeeded(job)

    def discard(self, *things: Image | Disk | VirtualMachine) -> None:
        """Delete images, disks, and VMs with their disks."""
        for thing in things:
            if isinstance(thing, VirtualMachine):
                self.discard(*self.rows(Disk).filter(vm=thing))
                self.press(f"/vms/{thing.pk}/delete/", confirm_name=thing.name)
            else:
                kind = "images" if isinstance(thing, Image) else "disks"
                self.succeeded(self.ask(f"/{kind}/{thing.pk}/delete/", confirm_name=str(self.fresh(thing))))

    # Faults

    def worker_of(self, job: Job) -> int:
        """Return the process id of the worker that has the job in hand; 0 while none has."""
        worker = self.fresh(job).worker
        return int(worker.split(":")[1]) if worker else 0

    def kill_workers(self, *jobs: Job) -> None:
        """End the workers of these jobs as the kernel does when memory is short."""
        for pid in {self.worker_of(job) for job in jobs}:
            os.kill(pid, signal.SIGKILL)

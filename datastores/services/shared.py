"""What of a host several datastores stand on: accounts, daemons, a cluster's files. Who goes leaves it to the others.

Delete leaves such things anyway; this is for what is taken back (``hosts.undo``), which would remove what it has made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

from datastores.domain.plan import Command
from datastores.domain.states import ObjectState
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.hosts.journal import Undoable
from datastores.models import Datastore, Host, Job
from datastores.services.drift_scope import Scope
from datastores.services.placing import driver_on, host_names

TITLE_KEPT = 1500
"""As long as the title of a step is in its row."""
ACCOUNT_OPTIONS = "owner", "group", "account", "keyring_group"
"""Options of drivers that name accounts and groups, which datastores use without a statement of their own."""
ACCOUNT_TOOLS = frozenset({"useradd", "userdel", "usermod", "groupadd", "groupdel"})
"""Each takes the name last."""


@dataclass(slots=True)
class Needs:
    """By host (primary key) and title of a statement, or name of an account: the datastore that needs it."""

    statements: dict[tuple[int, str], str] = field(default_factory=dict)
    accounts: dict[tuple[int, str], str] = field(default_factory=dict)

    def add(self, name: str, host: int, driver: StorageDriver, steps: Steps) -> None:
        for option in ACCOUNT_OPTIONS:
            if account := getattr(driver.options, option, ""):
                self.accounts.setdefault((host, account), name)
        for step in steps:
            self.statements.setdefault((host, step.title[:TITLE_KEPT]), name)


def needed_by_others(job: Job) -> Callable[[Undoable], str]:
    """Return a function that says which other datastore needs what an action of the job has made; "" for none.

    It asks the database when it is first called, and no more. One that failed to be made, and whatever of it is there,
    needs nothing.
    """

    @cache
    def rows() -> dict[int, tuple[int | None, str]]:
        return {row[0]: row[1:] for row in job.steps.values_list("index", "machine", "title").order_by()}

    @cache
    def needs() -> Needs:
        hosts = {machine for machine, _ in rows().values() if machine}
        return needs_of_others(job.datastore_id, hosts)

    def needed(entry: Undoable) -> str:
        host, title = rows().get(entry.index, (None, ""))
        if host is None:
            return ""
        account = account_in(entry.undo) if entry.undo else ""
        name = needs().statements.get((host, title)) or needs().accounts.get((host, account), "")
        return f"the datastore {name} needs it" if name else ""

    return needed


def account_in(command: Command) -> str:
    """Return the account or group that the command changes; "" for none."""
    return command.argv[-1] if command.argv[0] in ACCOUNT_TOOLS else ""


def needs_of_others(datastore: int | None, hosts: set[int]) -> Needs:
    """Return what all datastores but this one need on these hosts, those that just come to use them included."""
    scope, needs = Scope(Host.objects.filter(pk__in=hosts)), Needs()
    for other, driver, members in scope.datastores:
        if other.pk == datastore or other.state == ObjectState.ERROR:
            continue
        for host in scope.names.keys() & set(members):
            with scope.row(host, f"datastore:{other.pk}", f"the datastore {other.name}"):
                needs.add(other.name, host, driver, driver.stands_on(scope.names[host]))
    for other, names in coming(datastore):
        for host in (host for host, name in scope.names.items() if name in names):
            with scope.row(host, f"datastore:{other.pk}", f"the datastore {other.name}"):
                driver = driver_on(other, [*host_names(other), *names])
                needs.add(other.name, host, driver, driver.activate(scope.names[host]))
    return needs


def coming(datastore: int | None) -> Iterator[tuple[Datastore, list[str]]]:
    """Yield other datastores with the names of the hosts that a job adds to them."""
    jobs = Job.objects.filter(kind="datastore.hosts", ended_at=None).exclude(datastore=None)
    for job in jobs.exclude(datastore=datastore).select_related("datastore"):
        yield job.datastore, job.params["added"]

"""What must hold whenever no job is at work: hosts and database agree, and nothing is left lying about."""

from __future__ import annotations

import subprocess
from collections import defaultdict

from datastores.domain.states import ENDED, JobState, ObjectState
from datastores.models import AuditEntry, Datastore, Disk, Image, Job, Lease
from datastores.models.audit import verify
from datastores.services.placing import disk_volume, driver_of, image_volume
from tests.faults.installation import Installation, wait_for
from tests.lab.host import Host

UNITS = "/var/lib/cloudstore/jobs"
RESTING = (ObjectState.READY, ObjectState.ERROR, ObjectState.IN_USE)


def disagreements(site: Installation) -> list[str]:
    """Return in words everything that is not as it should be, once the schedule's own jobs have ended."""
    wait_for(lambda: not site.rows(Job).filter(user=None, ended_at=None).exists(), "the schedule's jobs end")
    return [*_jobs(site), *_rows(site), *_audit(site), *_files(site), *_units(site)]


def _jobs(site: Installation) -> list[str]:
    at_rest = {*ENDED, JobState.AWAITING}
    open_jobs = [f"{job} is {job.state}" for job in site.rows(Job).exclude(state__in=at_rest)]
    ended = site.rows(Lease).filter(job__ended_at__isnull=False)
    return open_jobs + [f"a lease is left: {lease}" for lease in ended]


def _rows(site: Installation) -> list[str]:
    """Nothing says that it is being changed when nobody changes it."""
    busy = set(site.rows(Lease).values_list("resource", flat=True))
    wrong = []
    for model, name in ((Image, "image"), (Disk, "disk"), (Datastore, "datastore")):
        rows = [row for row in site.rows(model) if f"{name}:{row.pk}" not in busy]
        wrong += [f"{name} {row} is {row.state}" for row in rows if row.state not in RESTING]
        wrong += [f"{name} {row} is in error without a word" for row in rows if row.state == "error" and not row.error]
    return wrong


def _audit(site: Installation) -> list[str]:
    """The trail is whole, and each job that ended says there how."""
    _, wrong = verify(site.rows(AuditEntry).order_by("seq").iterator())
    told = set(site.rows(AuditEntry).values_list("job_uuid", "result"))
    silent = [job for job in site.rows(Job).filter(ended_at__isnull=False) if (job.uuid, job.word) not in told]
    return wrong + [f"the audit trail does not say that {job} {job.word}" for job in silent]


def _files(site: Installation) -> list[str]:
    """The datastores hold the files of their rows, of the size that the rows say, and nothing else."""
    by_host = defaultdict(list)
    for datastore in site.rows(Datastore).filter(state=ObjectState.READY):
        by_host[driver_of(datastore).host].append(datastore)
    wrong = []
    for name, datastores in by_host.items():
        machine = site.machine(name)
        found = files_below(machine, *(datastore.base for datastore in datastores))
        wanted = {path: size for datastore in datastores for path, size in _wanted(site, datastore).items()}
        wrong += [f"{path} on {name} belongs to nothing" for path in sorted(found.keys() - wanted.keys())]
        wrong += [f"{path} on {name} is not there" for path in sorted(wanted.keys() - found.keys())]
        for path in sorted(found.keys() & wanted.keys()):
            if wanted[path] not in {None, found[path]}:
                wrong.append(f"{path} on {name} has {found[path]} bytes, not {wanted[path]}")
    return wrong


def _wanted(site: Installation, datastore: Datastore) -> dict[str, int | None]:
    """Return path and size (None: any) of each file that the rows speak of."""
    wanted: dict[str, int | None] = {}
    for image in site.rows(Image).filter(datastore_id=datastore.pk, state__in=[ObjectState.READY, ObjectState.IN_USE]):
        path = image_volume(image).path
        wanted[path] = image.virtual_size if image.format == "raw" else None
        if datastore.kind == "qcow2":
            wanted[f"{path}.overlay"] = None
        if image.sha256 or image.data_digest:
            wanted[f"{path}.sha256"] = None
        for snapshot in image.snapshots.all():
            wanted[f"{path}.snap/{snapshot.name}"] = None
    for disk in site.rows(Disk).filter(datastore_id=datastore.pk, state=ObjectState.READY):
        wanted[disk_volume(disk).path] = disk.virtual_size if (disk.kind, disk.format) != ("link", "raw") else None
    return wanted


def files_below(machine: Host, *directories: str) -> dict[str, int]:
    """Return size by path of everything below the directories but directories that hold something."""
    pick = ("-mindepth", "1", "(", "!", "-type", "d", "-o", "-empty", ")", "-printf", r"%s %p\0")
    records = [record.split(" ", 1) for record in inside(machine, "find", *directories, *pick).split("\0")[:-1]]
    return {path: int(size) for size, path in records}


def inside(machine: Host, *argv: str) -> str:
    """Return what a command prints inside a host. In its namespaces, without SSH: it is asked after every test."""
    [first] = (machine.cgroup / "init.scope/cgroup.procs").read_text().split()[:1]
    enter = ("nsenter", f"--target={first}", "--mount", "--pid", "--")
    return subprocess.run([*enter, *argv], capture_output=True, text=True, check=True, timeout=30).stdout


def _units(site: Installation) -> list[str]:
    """No unit, no log of a unit, and no process of an ended job is left on a host."""
    ended = [f"cloudstore-{job.uuid.hex[:12]}" for job in site.rows(Job).filter(ended_at__isnull=False)]
    wrong = []
    for machine in site.lab.hosts():
        if machine.running:
            units = inside(machine, "systemctl", "list-units", "--all", "--plain", "--no-legend", "cloudstore-*")
            logs = inside(machine, "find", "/var/lib", "-path", f"{UNITS}/*")
            left = [line for line in (units + logs).splitlines() if any(name in line for name in ended)]
            processes = inside(machine, "ps", "-eo", "args")
            left += [line for line in processes.splitlines() if ".part" in line]
            wrong += [f"{line} is left on {machine.name}" for line in left]
    return wrong

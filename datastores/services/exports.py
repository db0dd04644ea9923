"""NFS exports of a host, whoever wrote them: what is dangerous about them, and how a line is rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Q

from datastores.domain import exports
from datastores.domain.errors import BadInput, Refused
from datastores.domain.export_checks import Finding, Severity, check, check_all, clash, is_root
from datastores.domain.exports import Client, Export
from datastores.domain.plan import Plan, Stage
from datastores.drivers.nfs import NfsDriver
from datastores.drivers.zfs import ZfsDriver
from datastores.hosts.exports import ExportRewritten, ExportsFile, file_of, is_ours
from datastores.models import Datastore, Host, Job, User
from datastores.services.placing import driver_of, hosts_of
from datastores.services.usecase import Results, UseCase


@dataclass(frozen=True, slots=True)
class Judged:
    """An entry of a file of exports, its lines as they are, and what is to be said of it."""

    file: str
    text: str
    entry: Export
    findings: tuple[Finding, ...]

    @property
    def ours(self) -> bool:
        """It is a part of a datastore, which says how it reads."""
        return is_ours(self.file)

    @property
    def remedy(self) -> str:
        """The line as it was probably meant; "" when that is not known."""
        return next((finding.remedy.line() for finding in self.findings if finding.remedy), "")


def judged(files: Iterable[ExportsFile]) -> list[Judged]:
    """Return every entry of the files of one host with what is to be said of it."""
    known = [(file, exports.parse(file.text)) for file in files]
    entries = [(file, parsed, entry) for file, parsed in known for entry in parsed.entries()]
    found = check_all(entry for _, _, entry in entries)
    return [
        Judged(file.path, parsed.text_of(entry), entry, tuple(findings))
        for (file, parsed, entry), (_, findings) in zip(entries, found, strict=True)
    ]


def require_found(datastore: Datastore) -> None:
    """Refuse a new NFS datastore that clients would not find on its server, or that would hide what others export.

    What the server exports besides is taken from what was read of it last.
    """
    driver, host = driver_of(datastore), hosts_of(datastore)[0]
    exported = driver.over_nfs if isinstance(driver, (NfsDriver, ZfsDriver)) and driver.shared else None
    if exported is None:
        return
    texts = [file["text"] for file in host.facts.get("exports", ()) if not is_ours(file["path"])]
    theirs = [entry for text in texts for entry in exports.parse(text).entries()]
    ours = served(host, but=datastore.pk)
    if why := clash(driver.base, root=exported.is_root, others=[*ours, *theirs]):
        raise Refused(f"{host.name}: {why}")
    if same := [entry.path for entry in ours if file_of(entry.path) == file_of(driver.base)]:
        raise Refused(f"{host.name} would export {driver.base} by the file of {same[0]}. Choose another base path.")


def served(host: Host, *, but: int | None = None) -> list[Export]:
    """Return what the datastores export of which the host is the storage host, each to whomever."""
    kinds = Q(kind=NfsDriver.kind) | Q(kind=ZfsDriver.kind, options__exported=True)
    rows = Datastore.objects.filter(kinds, members__host=host, members__position=0).exclude(pk=but)
    known = ((row.base, row.options.get("fsid", "")) for row in rows)
    return [Export(base, (Client("*", (f"fsid={fsid}",) if fsid else ()),)) for base, fsid in known]


def the_line(value: str, path: str = "") -> str:
    """Return the line of one export, of ``path`` where that is given.

    :raises BadInput: it is none, or one that must not be.
    """
    entries = list(exports.parse(value.strip()).entries())
    if len(entries) != 1 or "\n" in value.strip():
        raise BadInput("An export is one line: a path, and its clients with their options.")
    (entry,) = entries
    if path and entry.path != path:
        raise BadInput(f"The line is about {path}; it cannot be made one about {entry.path}.")
    if bad := [finding.text for finding in check(entry) if finding.severity is Severity.BAD]:
        raise BadInput(" ".join(bad))
    return value.strip()


class ExportChange(UseCase):
    """Rewrite one line of a host's NFS exports, and have the server follow.

    params: file, before (the entry's lines as they are), after (one line).
    """

    kind = "export.change"
    label = "Change export"
    queue = "provision"
    needs_approval = True
    never_at_once = True
    roles = frozenset({User.Role.ADMIN})
    can_undo = True
    targets = ("host",)

    def ask(self, job: Job) -> None:
        if is_ours(job.params["file"]):
            raise Refused("That file belongs to a datastore: change the datastore instead.")
        before = list(exports.parse(job.params["before"]).entries())
        path = before[0].path if len(before) == 1 else ""
        job.params |= {"after": the_line(job.params["after"], path)}
        if job.params["after"] == job.params["before"]:
            raise BadInput("That is how the line reads already.")
        self.check_still(job)
        self._check_root(job, before)
        job.title = f"Change the export of {path or job.params['file']} on {job.host.name}"[:300]
        job.target_label = job.host.name

    def _check_root(self, job: Job, before: list[Export]) -> None:
        """Refuse fsid=0 for an export that had none, beside datastores that clients would not find any more."""
        (after,) = exports.parse(job.params["after"]).entries()
        becomes = is_root(after) and not any(map(is_root, before))
        if becomes and (why := clash(after.path, root=True, others=served(job.host))):
            raise Refused(why)

    def again(self, job: Job) -> None:
        self.check_still(job)

    def check_still(self, job: Job) -> None:
        host = Host.objects.filter(pk=job.host_id).first()
        if host is None or not host.usable:
            raise Refused(f"{host or 'The host'} is {host.state if host else 'gone'}, so nothing was changed.")

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"host:{job.host_id}": False, f"exports of host:{job.host_id}": True}

    def plan(self, job: Job) -> Plan:
        lines = (job.params[name] for name in ("file", "before", "after"))
        return (Stage("export", (ExportRewritten(job.host.name, *lines),)),)

    def succeeded(self, job: Job, results: Results) -> None:
        remember_line(job, job.params["before"], job.params["after"])

    def undone(self, job: Job) -> None:
        remember_line(job, job.params["after"], job.params["before"])


def remember_line(job: Job, before: str, after: str) -> None:
    """Note in what is known of the host how the line reads now; the next reading would see it, too."""
    host = Host.objects.select_for_update().get(pk=job.host_id)
    host.facts["exports"] = list(rewritten(host.facts.get("exports", ()), job.params["file"], before, after))
    Host.objects.filter(pk=host.pk).update(facts=host.facts)


def rewritten(files: Iterable[dict[str, str]], path: str, before: str, after: str) -> Iterator[dict[str, str]]:
    for file in files:
        known = exports.parse(file["text"])
        entry = next((each for each in known.entries() if known.text_of(each) == before), None)
        if entry and file["path"] == path:
            yield {**file, "text": exports.render(known.replaced(entry, after))}
        else:
            yield file

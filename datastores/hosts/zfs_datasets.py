"""Data sets that last: the base of a datastore with its properties, and what lies right below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.zfs import Property, dataset_name
from datastores.hosts.files import ask_inside
from datastores.hosts.parsing import canonical_path, expect
from datastores.hosts.stored import Foreign, plain
from datastores.hosts.zfs import ask_with_snapshots, found

LOOKED_AT = ("type", "mountpoint", "mounted")
_NO_FILE = "No such file or directory"


@dataclass(frozen=True, slots=True)
class Told:
    """The value of a property, and where it comes from: "local", "default", "inherited from tank"."""

    value: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """``properties``: by name; none when there is no data set. ``hidden``: a name in the bare directory, or ""."""

    properties: Mapping[str, Told]
    hidden: str = ""


@dataclass(frozen=True, slots=True)
class DatasetExists:
    """``name`` is a file system mounted at ``mountpoint``, with these properties of its own.

    ``places``: a new one is told its mount point; otherwise it has to come to lie there by itself, below its parent.
    One that is there already is taken as it is, but for the properties; it is never moved to another mount point.
    """

    host: str
    name: str
    mountpoint: str
    properties: tuple[Property, ...] = ()
    places: bool = False

    def __post_init__(self) -> None:
        dataset_name(self.name)
        canonical_path(self.mountpoint, "The mount point")
        names = [each.name for each in self.properties]
        if len(set(names)) != len(names) or set(names) & set(LOOKED_AT):
            raise BadInput(f"Properties of {self.name} are named once each; type and mount point are none.")

    @property
    def title(self) -> str:
        having = f" with {', '.join(map(str, self.properties))}" if self.properties else ""
        return f"the data set {self.name} is mounted at {self.mountpoint}{having}"

    @property
    def identity(self) -> str:
        return f"the data set {self.name} is mounted at {self.mountpoint}"

    def reads(self) -> tuple[Command, ...]:
        wanted = ",".join((*LOOKED_AT, *(each.name for each in self.properties)))
        get = read("zfs", "get", "-H", "-p", "-o", "property,value,source", wanted, self.name, root=True)
        return get, ask_inside(self.mountpoint)

    def facts(self, outputs: Sequence[Output]) -> DatasetFacts:
        get, inside = self.reads()
        said, listed = outputs
        if said.exit_status == 1 and said.stderr.strip() == f"cannot open '{self.name}': dataset does not exist":
            missing = listed.stderr.strip().endswith(_NO_FILE)
            return DatasetFacts({}, "" if missing else expect(self.host, inside, listed).partition("\0")[0])
        words = [line.split("\t") for line in expect(self.host, get, said).splitlines()]
        told = {name: Told(value, source) for name, value, source in words}
        if not told.keys() >= set(LOOKED_AT):
            raise CommandFailed(get.argv, said.exit_status, f"it said {said.stdout!r}", self.host)
        return DatasetFacts(told)

    def plan(self, facts: DatasetFacts) -> Change | None:
        if not facts.properties:
            return self._create(facts.hidden)
        kind, mountpoint, mounted = (facts.properties[name].value for name in LOOKED_AT)
        if kind != "filesystem":
            raise Refused(f"{self.name} on {self.host} is a {kind}, not a file system. Choose another name.")
        if mountpoint != self.mountpoint:
            raise Refused(
                f"{self.name} on {self.host} has the mount point {mountpoint}, not {self.mountpoint}. Take that for "
                f"the base path, or say `zfs set mountpoint={self.mountpoint} {self.name}` there if nobody uses it."
            )
        wrong = [each for each in self.properties if facts.properties[each.name].value != each.value]
        actions = [self._set(each, facts.properties[each.name]) for each in wrong]
        if mounted != "yes":
            mount, unmount = (Command(("zfs", verb, self.name)) for verb in ("mount", "unmount"))
            actions.append(Action(mount, unmount))
        does = [*(f"set {each}" for each in wrong), *(["mount it"] if mounted != "yes" else [])]
        return Change(f"{self.name}: {' and '.join(does)}", tuple(actions)) if actions else None

    def _create(self, hidden: str) -> Change:
        if hidden and self.places:
            raise Refused(
                f"{self.mountpoint} on {self.host} is not empty ({plain(hidden)} lies in it); a data set mounted there "
                "would hide that. Move it away, or choose another base path."
            )
        placed = (f"mountpoint={self.mountpoint}",) if self.places else ()
        chosen = (str(each) for each in self.properties if each.value != "0")  # a size of 0 is none, as it is anyway
        options = [word for each in (*placed, *chosen) for word in ("-o", each)]
        create = Command(("zfs", "create", *options, "--", self.name))
        undo = Command(("zfs", "destroy", "--", self.name))
        return Change(f"make the data set {self.name}", (Action(create, undo),))

    def _set(self, wanted: Property, before: Told) -> Action:
        if before.source == "local":
            undo = Command(("zfs", "set", str(Property(wanted.name, before.value)), self.name))
        else:
            undo = Command(("zfs", "inherit", wanted.name, self.name))
        return Action(Command(("zfs", "set", str(wanted), self.name)), undo)


@dataclass(frozen=True, slots=True)
class OnlyKnownDatasets:
    """No data set lies right below ``parent`` but the ``known`` ones (last components). A check: none is removed."""

    host: str
    parent: str
    known: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        dataset_name(self.parent)

    @property
    def title(self) -> str:
        return f"{self.parent} holds no data set that belongs to nothing"

    def reads(self) -> tuple[Command, ...]:
        return (ask_with_snapshots(self.parent),)

    def facts(self, outputs: Sequence[Output]) -> tuple[str, ...]:
        """Return the names of the data sets that belong to nothing."""
        (command,) = self.reads()
        there = found(self.host, command, outputs[0])
        if self.parent not in there:
            raise CommandFailed(command.argv, outputs[0].exit_status, outputs[0].stderr, self.host)
        names = {name.removeprefix(f"{self.parent}/") for name in there if name.startswith(f"{self.parent}/")}
        return tuple(sorted(names - set(self.known)))

    def plan(self, facts: tuple[str, ...]) -> Change | None:
        if facts:
            raise Foreign("\n".join(facts))
        return None

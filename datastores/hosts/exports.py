"""Exports of the kernel's NFS server, each in a file of its own below /etc/exports.d (exports(5), exportfs(8))."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain import exports
from datastores.domain.errors import BadInput, Refused
from datastores.domain.export_checks import Severity, check
from datastores.domain.exports import Client, Export, export_client, export_option, export_path
from datastores.domain.plan import Action, Change, Command, Output, WriteFile, read
from datastores.hosts.lines import edited
from datastores.hosts.parsing import TextFile, editable, expect, text_file, text_reads

FILE, DIRECTORY = "/etc/exports", "/etc/exports.d"
LINES = read("grep", "-rsHZ", "--include=*.exports", "--include=exports", "", FILE, DIRECTORY)
"""Every line of every file of exports, behind the file's name and NUL; nothing where there is none."""
REFRESH = Command(("exportfs", "-r"))
NOT_INSTALLED = 127


def is_ours(file: str) -> bool:
    """Tell whether cloudstore keeps this file, as a part of a datastore."""
    return file.startswith(f"{DIRECTORY}/cloudstore-")


def file_of(path: str) -> str:
    """Return the file that holds the export of ``path``: cloudstore-srv-images.exports for /srv/images."""
    return f"{DIRECTORY}/cloudstore-{path.strip('/').replace('/', '-')}.exports"


def refreshed(*actions: Action) -> tuple[Action, ...]:
    """Return the actions between two refreshes: the server follows the files there, and on the way back."""
    return Action(REFRESH, REFRESH), *actions, Action(REFRESH, harmless=True)


@dataclass(frozen=True, slots=True)
class ExportsFile:
    """A file that the NFS server reads its exports from."""

    path: str
    text: str


def files(text: str) -> tuple[ExportsFile, ...]:
    """Return the files of which ``LINES`` printed the lines, /etc/exports first.

    :raises ValueError: that is not what it prints.
    """
    lines: dict[str, list[str]] = {}
    for line in text.split("\n")[:-1]:
        path, marked, said = line.partition("\0")
        if not marked:
            raise ValueError(f"no file is named before {line[:40]!r}")
        if path == FILE or path.endswith(".exports"):
            lines.setdefault(path, []).append(said)
    return tuple(ExportsFile(path, "\n".join(lines[path])) for path in sorted(lines))


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """The file, and what the server exports of this path now, in all its files; None: it is not installed."""

    file: TextFile
    listed: tuple[Client, ...] | None


def ask_listed() -> Command:
    return read("exportfs", "-s", root=True)


def listed(host: str, output: Output, path: str) -> tuple[Client, ...] | None:
    """Return the clients to which the server exports ``path``; None: there is no exportfs.

    :raises CommandFailed: it could not be asked.
    """
    if output.exit_status == NOT_INSTALLED:
        return None
    entries = exports.parse(expect(host, ask_listed(), output)).entries()
    return tuple(client for entry in entries if entry.path == path for client in entry.clients)


@dataclass(frozen=True, slots=True)
class ExportPresent:
    """The server exports ``path`` to these clients with these options, now and after a restart.

    The directory has to be there by the time this is carried out. What other files export stays as it is.
    """

    host: str
    path: str
    clients: tuple[Client, ...]

    def __post_init__(self) -> None:
        if export_path(self.path) != self.path:
            raise BadInput(f"The exported path {self.path} is not in its shortest form {export_path(self.path)}.")
        if len({client.options for client in self.clients}) > 1:
            raise BadInput(f"All clients of {self.path} have the same options.")
        if not self.clients:
            raise BadInput(f"{self.path} is exported to nobody. Name at least one network or host.")
        for client in self.clients:
            if export_client(client.name) != client.name:
                raise BadInput(f"The client {client.name} is usually written {export_client(client.name)}.")
            for option in client.options:
                export_option(option)

    @property
    def title(self) -> str:
        return f"{self.path} is exported to {', '.join(map(str, self.clients))}"

    @property
    def _text(self) -> str:
        return f"{Export(self.path, self.clients).line()}\n"

    def reads(self) -> tuple[Command, ...]:
        return *text_reads(file_of(self.path)), ask_listed()

    def facts(self, outputs: Sequence[Output]) -> ExportFacts:
        file = text_file(self.host, file_of(self.path), outputs[:2])
        return ExportFacts(file, listed(self.host, outputs[2], self.path))

    def plan(self, facts: ExportFacts) -> Change | None:
        name = file_of(self.path)
        before = editable(self.host, name, facts.file)
        others = {entry.path for entry in exports.parse(before or "").entries()} - {self.path}
        if others:
            listed = ", ".join(sorted(others))
            raise Refused(
                f"{name} on {self.host} exports {listed}. Move that to another file first, or choose another base path."
            )
        if before == self._text and self._is_listed(facts.listed):
            return None
        write = WriteFile(name, self._text, before)
        actions = (Action(write, write.undo),) if before != self._text else ()
        return Change(f"export {self.path}", refreshed(*actions), note=self._risks())

    def _risks(self) -> str:
        """Return what whoever approves this should know."""
        found = check(Export(self.path, self.clients[:1]))  # the options are those of all of them
        return " ".join(finding.text for finding in found if finding.severity is not Severity.INFO)

    def _is_listed(self, listed: tuple[Client, ...] | None) -> bool:
        """The server adds its defaults to the options, so ours are some of those that it lists."""
        known = {client.name: set(client.options) for client in listed or ()}
        return all(client.name in known and known[client.name] >= set(client.options) for client in self.clients)


@dataclass(frozen=True, slots=True)
class ExportAbsent:
    """The server does not export ``path`` by our file any more. What other files export stays, and so does a file of
    this name that exports another path: two paths may have the same name but for their slashes.
    """

    host: str
    path: str

    def __post_init__(self) -> None:
        export_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} is not exported"

    def reads(self) -> tuple[Command, ...]:
        return text_reads(file_of(self.path))

    def facts(self, outputs: Sequence[Output]) -> TextFile:
        return text_file(self.host, file_of(self.path), outputs)

    def plan(self, facts: TextFile) -> Change | None:
        name = file_of(self.path)
        paths = {entry.path for entry in exports.parse(editable(self.host, name, facts) or "").entries()}
        if self.path not in paths:
            return None
        if others := sorted(paths - {self.path}):
            raise Refused(f"{name} on {self.host} exports {', '.join(others)}, too. Move that to another file first.")
        kept = f"{name}.cloudstore~"  # exportfs reads names that end in .exports alone
        aside, back = (Command(("mv", "-fT", "--", *names)) for names in ((name, kept), (kept, name)))
        return Change(f"export {self.path} no more", refreshed(Action(aside, back)))


@dataclass(frozen=True, slots=True)
class ExportRewritten:
    """The entry of a file of exports reads ``after``, where it read ``before``; what else is in the file stays.

    ``before``: all lines of the entry, as they are in the file. ``after``: one line.
    """

    host: str
    file: str
    before: str
    after: str

    def __post_init__(self) -> None:
        inside = self.file.startswith(f"{DIRECTORY}/") and self.file.endswith(".exports") and self.file.count("/") == 3
        if self.file != FILE and not inside:
            raise BadInput(f"{self.file[:80]} is no file of exports.")
        if "\n" in self.after or len(list(exports.parse(self.after).entries())) != 1:
            raise BadInput("An export is one line with a path and its clients.")

    @property
    def title(self) -> str:
        return f"{self.file} says: {self.after}"

    def reads(self) -> tuple[Command, ...]:
        return text_reads(self.file)

    def facts(self, outputs: Sequence[Output]) -> TextFile:
        return text_file(self.host, self.file, outputs)

    def plan(self, facts: TextFile) -> Change | None:
        text = editable(self.host, self.file, facts)
        known = exports.parse(text or "")
        lines = {known.text_of(entry): entry for entry in known.entries()}
        if self.before not in lines:
            if self.after in lines:
                return None
            raise Refused(f"{self.file} on {self.host} was changed meanwhile. Read the host again, and look at it.")
        entry = lines[self.before]
        line = edited(self.file, self.before, self.after)
        return Change(f"rewrite the export of {entry.path}", refreshed(line))

"""Settings in configuration files that a tool reads as ``key = value`` lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain import keyvalue
from datastores.domain.errors import BadInput, Refused
from datastores.domain.keyvalue import Setting
from datastores.domain.plan import Action, Change, Command, Output, WriteFile
from datastores.hosts.parsing import TextFile, canonical_path, editable, text_file, text_reads


@dataclass(frozen=True, slots=True)
class SettingsAre:
    """The file at ``path`` sets each of ``settings``, and nothing else for their keys.

    All settings of one file belong into one step: each step replaces the whole file and keeps one backup of it.
    """

    host: str
    path: str
    settings: tuple[Setting, ...]

    def __post_init__(self) -> None:
        canonical_path(self.path)
        keys = [(setting.section, setting.key) for setting in self.settings]
        if not keys or len(set(keys)) != len(keys):
            raise BadInput(f"The settings of {self.path} must be at least one, each for another key.")

    @property
    def title(self) -> str:
        return f"{self.path} says {', '.join(map(str, self.settings))}"

    def reads(self) -> tuple[Command, ...]:
        return text_reads(self.path)

    def facts(self, outputs: Sequence[Output]) -> TextFile:
        return text_file(self.host, self.path, outputs)

    def plan(self, facts: TextFile) -> Change | None:
        before = editable(self.host, self.path, facts)
        if before is None or facts.entry is None:
            raise Refused(f"There is no {self.path} on {self.host}. Install the package that it belongs to first.")
        file = keyvalue.parse(before)
        wrong = [setting for setting in self.settings if not file.has(setting)]
        if not wrong:
            return None
        for setting in wrong:
            if file.spans_lines(setting.key, setting.section):
                raise Refused(
                    f"{setting.key} in {self.path} on {self.host} has a value of several lines, which is left to "
                    f"you. Set it to {setting.value} there and try again."
                )
            file = file.with_setting(setting)
        entry = facts.entry
        write = WriteFile(self.path, keyvalue.render(file), before, entry.owner, entry.group, entry.mode)
        return Change(f"set {', '.join(map(str, wrong))} in {self.path}", (Action(write, write.undo),))

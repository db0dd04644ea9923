"""Files of ``key = value`` lines, with or without ``[sections]``: idmapd.conf, qemu.conf, /etc/default/*, nfs.conf.

Comments, order and spacing stay. ``render(parse(text)) == text``, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from datastores.domain.errors import BadInput

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_SECTION_NAME = re.compile(r"[^\[\]\"\x00-\x1f]+\Z")
_SECTION = re.compile(r"[ \t]*\[([^\[\]\"]+)\][ \t\r]*\Z")
_SETTING = re.compile(r"[ \t]*(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_DEFAULT = re.compile(r"[#;] ?(?=(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=)")
"""A setting that is commented out. More blanks than one: an example inside an explanation, as in qemu.conf."""


@dataclass(frozen=True, slots=True)
class Setting:
    """``key = value``, as it stands in the file, quotes and all. ``section``: "" before the first header."""

    key: str
    value: str
    section: str = ""

    def __post_init__(self) -> None:
        if not _KEY.match(self.key):
            raise BadInput(f"{self.key[:40]!r} is not the name of a setting.")
        if not all(character.isprintable() for character in self.value) or self.value != self.value.strip():
            raise BadInput(f"The value of {self.key} has blanks around it, or control characters in it.")
        if self.section and not _SECTION_NAME.match(self.section):
            raise BadInput(f"{self.section[:40]!r} is not the name of a section.")

    def __str__(self) -> str:
        return f"{self.key} = {self.value}" + (f" in [{self.section}]" if self.section else "")


@dataclass(frozen=True, slots=True)
class KeyValueFile:
    """The lines of the file as they are, without their line feeds."""

    lines: tuple[str, ...]

    def values(self, key: str, section: str = "") -> list[str]:
        """Return what ``key`` is set to, once for each line that sets it."""
        return [found.string[found.end() :].rstrip() for _, found in self._settings(key, section)]

    def has(self, setting: Setting) -> bool:
        """Tell whether the setting is there and no line says something else."""
        return set(self.values(setting.key, setting.section)) == {setting.value}

    def spans_lines(self, key: str, section: str = "") -> bool:
        """Tell whether a value of ``key`` goes on in the next line, as lists in qemu.conf may."""
        return any(
            found.string.count("[") > found.string.count("]")
            or found.string.endswith("\\")
            or any(map(_is_continuation, self.lines[number + 1 : number + 2]))
            for number, found in self._settings(key, section)
        )

    def with_setting(self, setting: Setting) -> KeyValueFile:
        """Return the file with the setting: every line that set the key says so now, else there is a new line.

        It goes below the key's commented default, else to the end of its section, else into a new section. Which
        of several lines for one key counts differs between programs, therefore all of them are changed.
        """
        lines = list(self.lines)
        for number, found in self._settings(setting.key, setting.section):
            ending = "\r" if lines[number].endswith("\r") else ""
            lines[number] = f"{found[0]}{setting.value}{ending}"
        return KeyValueFile(tuple(lines)) if self.values(setting.key, setting.section) else self._added(setting)

    def _added(self, setting: Setting) -> KeyValueFile:
        line = f"{setting.key}{self._equals()}{setting.value}"
        inside = [number for number, section in self._sections() if section == setting.section]
        if not inside and setting.section:
            gap = [""] if any(line.strip() for line in self.lines) else []
            return KeyValueFile((*_without_blank_end(self.lines), *gap, f"[{setting.section}]", line, ""))
        defaults = [number for number in inside if _comments_out(self.lines[number], setting.key)]
        filled = [number for number in inside if self.lines[number].strip()]
        place = (defaults[-1:] or filled[-1:] or [-1])[0] + 1
        after = self.lines[place:] or ("",)
        return KeyValueFile((*self.lines[:place], line, *after))

    def _equals(self) -> str:
        """Return the equals sign with the blanks that this file has around it."""
        for line in self.lines:
            if found := _SETTING.match(_DEFAULT.sub("", line)):
                return " = " if re.search(r"\s=", found[0]) else "="
        return " = "

    def _sections(self) -> Iterator[tuple[int, str]]:
        """Yield (index of the line, section that it belongs to); a header belongs to its own."""
        section = ""
        for number, line in enumerate(self.lines):
            if header := _SECTION.match(line):
                section = header[1].strip()
            yield number, section

    def _settings(self, key: str, section: str) -> Iterator[tuple[int, re.Match[str]]]:
        for number, found_in in self._sections():
            found = _SETTING.match(self.lines[number])
            if found and found_in == section and found["key"] == key:
                yield number, found


def parse(text: str) -> KeyValueFile:
    return KeyValueFile(tuple(text.split("\n")))


def render(file: KeyValueFile) -> str:
    return "\n".join(file.lines)


def _comments_out(line: str, key: str) -> bool:
    default = _DEFAULT.match(line)
    return default is not None and default["key"] == key


def _is_continuation(line: str) -> bool:
    """Tell whether a line is indented and nothing by itself, as the second line of a value in INI files is."""
    text = line.strip()
    return line[:1] in {" ", "\t"} and bool(text) and text[0] not in "#;" and not _SETTING.match(line)


def _without_blank_end(lines: tuple[str, ...]) -> tuple[str, ...]:
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    return lines[:end]

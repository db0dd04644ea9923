"""The table of kinds of datastore and what was proven of them, at the end of a run."""

from __future__ import annotations

from typing import Any

WORDS = {"passed": "proven", "failed": "FAILED", "skipped": "-"}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print kind by operation; "-" is not applicable, or not possible here: the reasons stand below."""
    found: dict[str, dict[str, str]] = {}
    reasons: set[str] = set()
    for outcome, word in WORDS.items():
        for report in terminalreporter.getreports(outcome):
            told = dict(report.user_properties)
            if "operation" not in told:
                continue
            found.setdefault(told["kind"], {})[told["operation"]] = word
            if outcome == "skipped":
                reasons.add(str(report.longrepr[2]).removeprefix("Skipped: "))
    if not found:
        return
    operations = list(dict.fromkeys(name for row in found.values() for name in row))
    terminalreporter.section("kinds of datastore")
    width = max(map(len, operations))
    terminalreporter.write_line(" " * width + "".join(f"  {kind:>8}" for kind in found))
    for name in operations:
        cells = "".join(f"  {row.get(name, ''):>8}" for row in found.values())
        terminalreporter.write_line(f"{name:<{width}}{cells}")
    for reason in sorted(reasons):
        terminalreporter.write_line(reason)

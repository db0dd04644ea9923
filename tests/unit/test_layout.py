"""What holds the project together: schema history, layers, documentation."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

from tests.sources import parsed

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for folder in ("cloudstore", "datastores") for path in (ROOT / folder).rglob("*.py")]

VIOLATIONS = {
    "Layers point one way": ("datastores/domain/plan.py", "import datastores.hosts.runner"),
    "The lower half knows no framework": ("datastores/hosts/parsing.py", "import django"),
    "Only the transport speaks paramiko": ("datastores/jobs/codec.py", "import paramiko"),
    "Services never enqueue": ("datastores/services/usecase.py", "import django_rq"),
    "Kinds of datastore do not know each other": ("datastores/drivers/xfs.py", "import datastores.drivers.btrfs"),
}


def test_schema_history_is_the_top_level_package() -> None:
    loader = MigrationLoader(None)
    assert "datastores" in loader.migrated_apps
    assert loader.migrations_module("datastores") == ("migrations", True)


def test_models_match_the_schema_history(db: None) -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def lint_imports(folder: Path) -> str:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to be violated."""
    folder = tmp_path_factory.mktemp("copy")
    names = ["cloudstore", "datastores", "migrations", "pyproject.toml"]
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in names), str(folder)], check=True)
    return folder


def test_the_layers_are_kept(copy: Path) -> None:
    assert "0 broken" in lint_imports(copy)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_each_contract_breaks_when_it_is_violated(copy: Path, contract: str) -> None:
    name, line = VIOLATIONS[contract]
    source = copy / name
    text = source.read_text()
    source.write_text(f"{text}\n\n{line}  # noqa\n")
    try:
        assert f"{contract} BROKEN" in lint_imports(copy)
    finally:
        source.write_text(text)


def test_every_contract_has_its_violation() -> None:
    contracts = re.findall(r'^name = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1:]
    assert contracts == list(VIOLATIONS)


def test_every_setting_is_documented() -> None:
    texts = [(ROOT / "cloudstore" / name).read_text() for name in ("settings.py", "processes.py", "__main__.py")]
    names = set(re.findall(r'"((?:CLOUDSTORE|DATABASE|REDIS)_[A-Z_]+)"', "\n".join(texts)))
    readme = (ROOT / "README.md").read_text()
    missing = {name for name in names if f"`{name}`" not in readme and not name.endswith("_FILE")}
    assert names and not missing


def test_only_one_place_quotes_for_a_shell() -> None:
    users = {str(path.relative_to(ROOT)) for path in SOURCES if re.search(r"shlex\.(join|quote)", path.read_text())}
    assert users <= {"datastores/transport/quoting.py", "datastores/transport/batch.py"}


@pytest.mark.parametrize("banned", ["AutoAddPolicy", "WarningPolicy", "shell=True", "os.system"])
def test_dangerous_shortcuts_are_nowhere(banned: str) -> None:
    assert [str(path) for path in SOURCES if banned in path.read_text()] == []


AUDITED = """
with transaction.atomic(savepoint=False):
    row.save()
    if row.name:
        note(request, "row.change", row)
"""


def out_of_turn(source: str) -> list[int]:
    """Return the lines of audit entries that are written in a transaction which did not take its turn first."""
    blocks = [
        block
        for block in ast.walk(parsed(source))
        if isinstance(block, ast.With)
        and any(ast.unparse(item.context_expr).startswith("transaction.atomic(") for item in block.items)
    ]
    return [
        call.lineno
        for block in blocks
        for call in ast.walk(block)
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in {"note", "record"}
    ]


def test_who_changes_rows_and_writes_an_audit_entry_takes_a_turn_first() -> None:
    """Otherwise two such transactions may wait for each other on PostgreSQL, see ``models.audit.in_turn``."""
    assert out_of_turn(AUDITED) == [5]
    assert out_of_turn(AUDITED.replace("transaction.atomic(savepoint=False)", "in_turn()")) == []
    found = {str(path.relative_to(ROOT)): out_of_turn(path.read_text()) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {}

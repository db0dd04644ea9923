"""What is in ``static``: small, whole, and fit for a storage that hashes names."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage
from django.utils.module_loading import import_string

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "static"
FIRST_PAGE = (
    "vendor/bootstrap.min.css",
    "vendor/bootstrap-icons.css",
    "vendor/bootstrap-icons.woff2",
    "vendor/bootstrap.bundle.min.js",
    "vendor/htmx.min.js",
    "css/tokens.css",
    "css/cloudstore.css",
    "css/brand.css",
    "css/frame.css",
    "css/print.css",
    *(f"js/{name}.js" for name in ("theme", "copy", "clipboard", "confirm", "times", "feed", "rows", "socket")),
    *(f"js/{name}.js" for name in ("palette", "commands", "recent", "keys", "tray", "notify", "sent")),
)
JOB_PAGE = (
    "css/log.css",
    "vendor/ansi_up.js",
    *(f"js/{path.name}" for path in sorted(STATIC.glob("js/*.js")) if path.name.startswith(("log", "job"))),
)
LISTS = ("css/list.css", "js/pick.js")
CHARTS = ("vendor/uplot.min.js", "vendor/uplot.min.css", "css/chart.css", "js/chart.js", "js/bars.js", "js/units.js")
GUIDES = ("css/guide.css",)
IMPORT = re.compile(r'^import .* from "(.+)";$', re.MULTILINE)


def compressed(*names: str) -> int:
    """Bytes over the wire."""
    return sum(len(gzip.compress((STATIC / name).read_bytes(), 9)) for name in names)


def test_the_first_page_is_light() -> None:
    assert compressed(*FIRST_PAGE) <= 124_000
    assert compressed(*FIRST_PAGE, *JOB_PAGE) <= 145_000
    assert compressed(*FIRST_PAGE, *LISTS) <= 127_000
    assert compressed(*FIRST_PAGE, *CHARTS) <= 150_000
    assert compressed(*FIRST_PAGE, *GUIDES) <= 126_000


def test_every_script_is_counted() -> None:
    names = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.suffix in {".js", ".css"}}
    assert names == {name for name in (*FIRST_PAGE, *JOB_PAGE, *LISTS, *CHARTS, *GUIDES) if not name.endswith(".woff2")}


def test_our_own_files_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in STATIC.glob("[cj]s*/*")}
    assert {name: length for name, length in lengths.items() if length > 300} == {}
    assert len(lengths) > 15


def test_hashed_names_reach_every_reference(tmp_path: Path) -> None:
    """The storage finds what each file points to, and modules import each other by their hashed names."""
    source = FileSystemStorage(STATIC)
    storage = import_string(settings.STORAGES["staticfiles"]["BACKEND"])(location=tmp_path, base_url="/static/")
    names = [path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()]
    for name in names:
        with (STATIC / name).open("rb") as file:
            storage._save(name, File(file))
    done = list(storage.post_process({name: (source, name) for name in names}))
    assert [outcome for _, _, outcome in done if isinstance(outcome, Exception)] == []
    hashed = [path for path in tmp_path.glob("js/*.js") if re.search(r"\.[0-9a-f]{12}\.js$", path.name)]
    imports = [target for path in hashed for target in IMPORT.findall(path.read_text())]
    assert len(imports) > 10
    assert [target for target in imports if not re.search(r"\.[0-9a-f]{12}\.js$", target)] == []


@pytest.mark.parametrize("folder", ["datastores", "cloudstore", "tests/browser", "static/js"])
def test_every_icon_in_use_is_in_the_subset(folder: str) -> None:
    have = set(re.findall(r"\.bi-([a-z0-9-]+)::before", (STATIC / "vendor/bootstrap-icons.css").read_text()))
    used = {
        (name, path.relative_to(ROOT).as_posix())
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".html", ".py", ".js"} and path != Path(__file__)
        for name in re.findall(r"\bbi-([a-z0-9]+(?:-[a-z0-9]+)*)\b", path.read_text())
    }
    assert {use for use in used if use[0] not in have} == set()

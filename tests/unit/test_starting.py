"""How an installation is started: signals, and which network its lab gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import networks
from tests.lab.lab import Lab
from tests.lab.machine import LabError

INTERRUPTED = """
import os, signal
from cloudstore import __main__ as command
command.arguments = lambda: None
command.up = lambda options: os.kill(os.getpid(), signal.SIGINT)
raise SystemExit(command.main())
"""


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What this machine has a way into; the labs are in a directory of their own."""
    found: list[str] = []
    monkeypatch.setenv("CLOUDSTORE_LAB_DIR", str(tmp_path))
    monkeypatch.setattr(networks, "command", lambda *argv: str([{"dst": each} for each in found]).replace("'", '"'))
    return found


def other_lab(folder: Path, name: str, network: str) -> None:
    (folder / "labs" / name).mkdir(parents=True)
    (folder / "labs" / name / "subnet").write_text(f"{network}\n")


def test_ctrl_c_stops_it_also_when_a_script_started_it_in_the_background() -> None:
    """A shell without job control starts ``... &`` with SIGINT ignored."""
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = [sys.executable, "-c", ignoring, sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    assert "Stopped." in done.stdout


def test_a_lab_of_a_new_name_gets_a_network_that_nobody_has(routes: list[str], tmp_path: Path) -> None:
    other_lab(tmp_path, "theirs", "10.77.4.0/24")
    routes += ["10.77.6.0/24", "10.77.7.1"]
    assert str(Lab("mine").site.network) == "10.77.10.0/24"


def test_a_lab_keeps_its_network(routes: list[str], tmp_path: Path) -> None:
    other_lab(tmp_path, "mine", "10.77.33.0/24")
    assert str(Lab("mine").site.network) == "10.77.33.0/24"
    with pytest.raises(LabError, match=r"Lab mine has 10\.77\.33\.0/24"):
        Lab("mine", subnet="10.77.34.0/24")


def test_a_lab_gets_the_network_that_is_wanted(routes: list[str]) -> None:
    assert str(Lab("mine", subnet="10.77.40.0/24").site.network) == "10.77.40.0/24"
    assert str(Lab("demo").site.network) == "10.77.0.0/24"


def test_when_no_network_is_free_it_is_said(routes: list[str]) -> None:
    routes.append("10.77.0.0/16")
    with pytest.raises(LabError, match=r"No /24 of 10\.77\.0\.0/16 is free"):
        Lab("mine")


@pytest.mark.parametrize("wrong", ["10.77.300.0/24", "10.77.20.7/24", "10.77.0.0/16", "here"])
def test_a_wrong_network_is_one_clear_line(routes: list[str], wrong: str) -> None:
    with pytest.raises(LabError, match="a lab's network"):
        Lab("mine", subnet=wrong)

"""Digests are kept whole or not at all, and jobs that compute the same one leave each other's alone."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from datastores.domain.errors import BadInput
from datastores.domain.plan import Action, Command, Detached
from datastores.hosts.checksums import BytesHashed, ChecksumKnown, DataDigest, DataDigestKnown, of_job

DATA = b"some data" * 9000


def carried_out(command: object) -> subprocess.CompletedProcess[bytes]:
    argv = command.command.argv if isinstance(command, Detached) else command.argv  # type: ignore[attr-defined]
    return subprocess.run(argv, check=False, capture_output=True)


def action_of(step: ChecksumKnown | BytesHashed | DataDigestKnown) -> Action:
    facts = DataDigest("") if isinstance(step, DataDigestKnown) else ""
    change = step.plan(facts)  # type: ignore[arg-type]
    assert change is not None
    (action,) = change.actions
    return action


def all_of(path: Path, token: str) -> list[ChecksumKnown | BytesHashed | DataDigestKnown]:
    name = str(path)
    steps = ChecksumKnown("h1", name), BytesHashed("h1", name, len(DATA)), DataDigestKnown("h1", name)
    return list(of_job(steps, token))  # type: ignore[arg-type]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_what_one_job_undoes_is_nothing_of_another(tmp_path: Path, which: int) -> None:
    image = tmp_path / "i.raw"
    image.write_bytes(DATA)
    one, other = (action_of(all_of(image, token)[which]) for token in ("a1", "b2"))
    assert carried_out(one.do).returncode == 0
    kept = (tmp_path / "i.raw.sha256").read_text()
    (tmp_path / "i.raw.sha256.a1.part").touch()  # the other is at it
    carried_out(other.undo)
    assert {path.name for path in tmp_path.iterdir()} == {"i.raw", "i.raw.sha256", "i.raw.sha256.a1.part"}
    assert carried_out(other.do).returncode == 0
    assert (tmp_path / "i.raw.sha256").read_text() == kept
    if which < 2:
        assert kept.split()[0] == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_of_what_cannot_be_read_nothing_is_kept(tmp_path: Path, which: int) -> None:
    (tmp_path / "i.raw.sha256").write_text("of before")
    action = action_of(all_of(tmp_path / "i.raw", "a1")[which])
    assert carried_out(action.do).returncode
    carried_out(action.undo)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of before"]


def test_a_job_that_is_alone_takes_back_what_it_kept(tmp_path: Path) -> None:
    image = tmp_path / "i.raw"
    image.write_bytes(DATA)
    action = action_of(DataDigestKnown("h1", str(image)))
    assert carried_out(action.do).returncode == 0
    carried_out(action.undo)
    assert list(tmp_path.iterdir()) == [image]


def test_the_token_of_a_job_is_a_word() -> None:
    with pytest.raises(BadInput, match="letters and digits"):
        of_job((DataDigestKnown("h1", "/srv/x/i.raw"),), "../x")
    other = Command(("true",))
    assert of_job((other,), "a1") == (other,)  # type: ignore[arg-type]

"""What GlusterFS 10.3 says, read into facts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datastores.domain.errors import CommandFailed
from datastores.domain.gluster import Form
from datastores.domain.plan import Output
from datastores.hosts import gluster
from datastores.hosts.gluster_balance import ask_balance, balance
from datastores.hosts.gluster_healing import ask_entries, heal
from datastores.hosts.gluster_quota import ask_limits, limits
from datastores.hosts.gluster_seen import VolumeKnown, VolumeSeen

CASES = Path(__file__).parent / "cases"
HEAL = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<cliOutput>
  <healInfo>
    <bricks>
      <brick hostUuid="a5a44c31-fed5-4aac-9c41-58653ec6c232">
        <name>h1:/srv/xfs/bricks/v1</name>
        <file gfid="c0965b08-7aa0-46b0-829c-39a374268061">/a b&amp;&lt;c&gt;</file>
        <file gfid="00000000-0000-0000-0000-000000000001">/</file>
        <status>Connected</status>
        <numberOfEntries>2</numberOfEntries>
      </brick>
      <brick hostUuid="-">
        <name>h2:/srv/xfs/bricks/v1</name>
        <status>Transport endpoint is not connected</status>
        <numberOfEntries>-</numberOfEntries>
      </brick>
      <brick hostUuid="c4c9a58c-0957-495f-a828-e0332e4a645e">
        <name>h3:/srv/xfs/bricks/v1</name>
        <file gfid="c0965b08-7aa0-46b0-829c-39a374268061">/a b&amp;&lt;c&gt;</file>
        <file gfid="00000000-0000-0000-0000-000000000001">/</file>
        <status>Connected</status>
        <numberOfEntries>2</numberOfEntries>
      </brick>
    </bricks>
  </healInfo>
  <opRet>0</opRet>
  <opErrno>0</opErrno>
  <opErrstr/>
</cliOutput>
"""


def recorded(case: str, number: int = 0) -> Output:
    """Return an answer of a golden case."""
    _, status, said, complaint = json.loads((CASES / f"{case}.json").read_text())["reads"][number]
    return Output(status, "\n".join(said).encode() if isinstance(said, list) else said.encode(), str(complaint))


def xml(ret: str, why: str = "", inside: str = "") -> bytes:
    return f"<cliOutput><opRet>{ret}</opRet><opErrno>1</opErrno><opErrstr>{why}</opErrstr>{inside}</cliOutput>".encode()


def test_a_volume_is_read_with_all_that_was_set() -> None:
    [volume] = gluster.volumes("h1", recorded("gluster_volumes.VolumeOptionSet/present")).values()
    assert (volume.name, volume.kind, volume.started) == ("vms", "replicate 1 x 3", True)
    assert [str(brick) for brick in volume.bricks] == [f"h{number}:/srv/xfs/bricks/vms" for number in (1, 2, 3)]
    assert len(set(volume.brick_hosts)) == 3
    assert volume.options["auth.allow"] == "10.77.*"


@pytest.mark.parametrize(("word", "form"), [("Striped-Replicate", Form.STRIPE), ("Tier", Form.TIER)])
def test_a_volume_of_an_obsolete_type_does_not_keep_others_from_being_read(word: str, form: Form) -> None:
    said = recorded("gluster_volumes.VolumeOptionSet/present").raw.replace(b">Replicate<", f">{word}<".encode())
    [volume] = gluster.volumes("h1", Output(0, said)).values()
    assert volume.layout.form is form
    assert len(volume.bricks) == 3


def test_the_pool_is_read_with_the_host_that_was_asked() -> None:
    peers = gluster.pool("h1", recorded("gluster_pool.PeerProbed/present"))
    assert sorted(peer.names[0] for peer in peers) == ["h2", "h3", "localhost"]
    assert [peer.ours for peer in peers].count(True) == 1
    assert all(peer.connected and peer.state == gluster.IN_CLUSTER for peer in peers)


def test_bricks_and_tasks_are_told_from_daemons() -> None:
    command = gluster.ask("status", "vms")
    found = gluster.status("h1", command, recorded("gluster_volumes.BricksRunning/absent", 1))
    assert found and [(state.brick.peer, state.online) for state in found.bricks] == [
        ("h1", True), ("h2", False), ("h3", True),
    ]  # fmt: skip
    removing = gluster.status("h1", command, recorded("gluster_layout.BricksRemoved/begun", 1))
    assert removing and [(task.kind, len(task.bricks), task.state) for task in removing.tasks] == [
        ("Remove brick", 1, "completed"),
    ]  # fmt: skip
    assert gluster.status("h1", command, recorded("gluster_volumes.BricksRunning/in-the-way", 1)) is None


def test_a_rebalance_is_read_in_files_and_bytes() -> None:
    command = ask_balance("scratch")
    found = balance("h1", command, recorded("gluster_balance.Rebalanced/present", 1))
    assert found and (found.text, found.failures) == ("completed", 0)
    assert found.size == found.files * 100000 > 0
    assert [share.peer for share in found.shares] == ["h2", "h3", "h1"]
    assert sum(share.size for share in found.shares) == found.size
    assert balance("h1", command, recorded("gluster_balance.Rebalanced/absent", 1)) is None


def test_entries_to_heal_are_told_by_brick_and_name() -> None:
    found = heal("h1", ask_entries("v1"), Output(0, HEAL.encode()))
    assert found and found.waiting == 4
    assert [str(brick) for brick in found.silent] == ["h2:/srv/xfs/bricks/v1"]
    assert found.bricks[0].entries == ("/a b&<c>", "/")


def test_limits_are_bytes() -> None:
    command = ask_limits("vms")
    [limit] = limits("h1", command, recorded("gluster_quota.QuotaLimitSet/present")).values()
    assert (limit.path, limit.hard, limit.soft) == ("/", 1 << 30, 858993459)
    assert limits("h1", command, recorded("gluster_quota.QuotaLimitSet/not-enabled")) == {}


@pytest.mark.parametrize(
    "said",
    [b"", b"<cliOutput>", b"<other/>", b"<cliOutput/>", b'<!DOCTYPE x [<!ENTITY a "b">]><cliOutput/>', b"\xff\xfe"],
)
def test_what_is_no_answer_is_not_taken_for_an_absence(said: bytes) -> None:
    with pytest.raises(CommandFailed, match="unreadable output"):
        gluster.volumes("h1", Output(0, said))


@pytest.mark.parametrize("status", [0, 1])
def test_a_failure_counts_whatever_the_exit_status_is(status: int) -> None:
    output = Output(status, b"<?xml version='1.0'?>" + xml("-1", "Another transaction is in progress for vms."))
    for ask, parse in (
        (ask_balance("vms"), balance),
        (ask_entries("vms"), heal),
        (ask_limits("vms"), limits),
        (gluster.ask("status", "vms"), gluster.status),
    ):
        with pytest.raises(CommandFailed, match="Another transaction is in progress"):
            parse("h1", ask, output)  # type: ignore[operator]
    with pytest.raises(CommandFailed, match="Another transaction"):
        gluster.volumes("h1", output)


def test_a_daemon_that_does_not_run_is_told_as_gluster_tells_it() -> None:
    with pytest.raises(CommandFailed, match="Connection failed"):
        gluster.pool("h1", Output(1, b"Connection failed. Please check if gluster daemon is operational.\n"))


def seen(case: str, name: str = "vms") -> VolumeSeen:
    """Return the volume of a golden case."""
    return VolumeKnown("h1", name).facts([recorded(f"gluster_seen.VolumeKnown/{case}", number) for number in range(8)])


def test_a_volume_is_seen_with_its_bricks_and_limits() -> None:
    found = seen("present")
    assert (found.name, found.kind, found.state, found.problems) == ("vms", "replicate 1 x 3", "Started", ())
    assert all(each.online and each.pid and each.size > each.free > 0 and each.waiting == 0 for each in found.bricks)
    assert found.options["auth.allow"] == "10.77.*"
    assert found.limits["/"] == (1 << 30, 512)


def test_a_brick_that_is_off_is_told_with_what_may_still_fail() -> None:
    found = seen("a-brick-off")
    assert [(each.peer, each.online, each.waiting) for each in found.bricks] == [
        ("h1", True, 1), ("h2", False, None), ("h3", True, 1),
    ]  # fmt: skip
    assert found.problems == (
        "h2:/srv/xfs/bricks/vms does not answer: the files of set 1 are there, and no more of them may fail.",
        "1 entry waits to be healed: until then its newest copies are on fewer bricks.",
    )


def test_a_dead_peer_is_named_with_what_cannot_be_done_until_it_is_back() -> None:
    found = seen("a-peer-off")
    assert [each.online for each in found.bricks] == [True, False, None]  # its brick may go on without glusterd
    assert found.problems[1] == (
        "h3 does not answer the pool: its host is off or cut off, or glusterd does not run there. Whether its bricks "
        "run is not known, and no bricks or options can be changed until it is back."
    )


def test_a_volume_that_is_stopped_says_so() -> None:
    assert seen("stopped").problems == ("The volume is stopped: nobody can read or write. Start it.",)


def test_what_is_in_split_brain_is_told_once_and_by_name() -> None:
    found = seen("split-brain", "torn")
    assert found.torn == ("/d/g", "/f")
    assert "2 files are in split-brain" in found.problems[0]


@pytest.mark.parametrize(
    "why",
    [
        "This command is supported for only volumes of replicate type. Volume copies is not of type replicate",
        "This command is supported for only volumes of replicate/disperse type. Volume copies is not of such a type",
    ],
)
def test_what_keeps_no_copies_has_nothing_to_heal(why: str) -> None:
    assert (
        heal("h1", ask_entries("copies", split_brain=True), Output(234, b"<?xml version='1.0'?>" + xml("-1", why)))
        is None
    )

"""The programs that send and receive a data set, with a zfs that answers as the real one does (OpenZFS 2.1.11)."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from datastores.hosts import zfs_receive, zfs_send
from datastores.hosts.zfs_receive import Cut, Receiver, Refused, connect_and_take, receive

SNAPSHOT, GUID = "tank/cloud/images/a@gold", 1042848549352086650
TOKEN = "1-bebd1988e-c8-789c636064000310a500c4ec50360710e72765a52697303030419460caa7"
CONTENTS = f"""resume token contents:
nvlist version: 0
	object = 0x2
	offset = 0x3c0000
	bytes = 0x3e2fc8
	toguid = {GUID:#x}
	toname = {SNAPSHOT}
full send of {SNAPSHOT} estimated size is 4.17M
total estimated size is 4.17M
"""
FAKE = """#!/bin/sh
case "$*" in
"get -H -p -o value guid tank/cloud/images/a@gold") echo 1042848549352086650 ;;
"send -n -v -t "*) cat "$0.token" >&2 ;;
"send -n -P "*) printf 'full\\ttank/cloud/images/a@gold\\t8448112\\nsize\\t8448112\\n' ;;
"get -H -p -o value receive_resume_token other/a") cat "$0.resume" 2>/dev/null || exit 1 ;;
"get -H -p -o value used other/a") cat "$0.used" 2>/dev/null || exit 1 ;;
"get -H -p -o value guid other/a@gold") cat "$0.guid" 2>/dev/null || exit 1 ;;
"receive -s -u -- other/a") exec sh "$0.receive" ;;
*) echo "fake: $*" >&2; exit 1 ;;
esac
"""
POOL = """#!/bin/sh
case "$*" in
*feature@lz4_compress,*) printf 'feature@lz4_compress\\tactive\\nfeature@zstd_compress\\tenabled\\n' ;;
*large_blocks*) echo disabled ;;
*) echo enabled ;;
esac
"""
WHOLE = 'cat >"$0.came"; wc -c <"$0.came" >"${0%.receive}.used"; echo 1042848549352086650 >"${0%.receive}.guid"'
HALF = """cat >/dev/null; echo 4096 >"${0%.receive}.used"; echo 1-a-b-c >"${0%.receive}.resume"
echo 'cannot receive new filesystem stream: checksum mismatch or incomplete stream.' >&2; exit 1"""


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where zfs and what it is to say lie."""
    for name, text in (("zfs", FAKE), ("zpool", POOL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(stat.S_IRWXU)
    (tmp_path / "zfs.token").write_text(CONTENTS)
    (tmp_path / "zfs.receive").write_text(WHOLE)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(zfs_receive.time, "sleep", lambda seconds: None)
    return tmp_path


def command(token: str, *there: str) -> list[str]:
    return zfs_send.command_for(SNAPSHOT, GUID, token, set(there))


def test_blocks_are_sent_as_they_lie_where_the_other_pool_can_hold_such() -> None:
    assert command("-", "lz4_compress", "zstd_compress", "large_blocks") == ["zfs", "send", "-c", "-L", SNAPSHOT]
    assert command("-", "lz4_compress") == ["zfs", "send", "-c", SNAPSHOT]
    assert command("-") == ["zfs", "send", SNAPSHOT]


def test_a_token_says_from_where_on(tools: Path) -> None:
    assert command(TOKEN) == ["zfs", "send", "-t", TOKEN]
    assert zfs_send.estimate(command(TOKEN)) == 8448112


@pytest.mark.parametrize(
    ("before", "after"),
    [(SNAPSHOT, "tank/secret@gold"), (f"{GUID:#x}", "0x7"), ("toname", "fromname"), ("toguid = ", "guid = ")],
)
def test_a_token_of_another_snapshot_is_refused(tools: Path, before: str, after: str) -> None:
    (tools / "zfs.token").write_text(CONTENTS.replace(before, after))
    with pytest.raises(ValueError, match="is not one of tank/cloud/images/a@gold"):
        command(TOKEN)


@pytest.mark.parametrize("token", ["x", "1-2-3-4;reboot", "-R", "1-2-3-4 tank/secret@gold", "../../x"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="is no token"):
        command(token)


def test_what_goes_over_the_line(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[Any] = []
    out = io.BytesIO()

    class Out(io.StringIO):
        buffer = out

    monkeypatch.setattr(zfs_send.os, "execvp", lambda *words: became.append(words))
    monkeypatch.setattr(sys, "stdout", Out())
    zfs_send.main(SNAPSHOT, "- lz4_compress")
    assert zfs_send.HEADER.unpack(out.getvalue()) == (zfs_send.MAGIC, GUID, 8448112)
    assert became == [("zfs", ["zfs", "send", "-c", SNAPSHOT])]
    assert (zfs_send.MAGIC, zfs_send.HEADER.format) == (zfs_receive.MAGIC, zfs_receive.HEADER.format)


def sender(tools: Path, *, guid: int = GUID, magic: bytes = zfs_send.MAGIC, data: str = "x" * 5000) -> list[str]:
    """Return a command that sends as the other end does."""
    script = tools / "sender"
    (tools / "header").write_bytes(zfs_send.HEADER.pack(magic, guid, 5000))
    (tools / "data").write_text(data)
    script.write_text(f'read asked; echo "$asked" >>{tools}/asked; cat {tools}/header {tools}/data\n')
    return ["sh", str(script)]


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Receiver:
    return Receiver("other/a", "gold", getattr(request, "param", 0))


limits = pytest.mark.parametrize("receiver", [0, 1 << 30], indirect=True)


@limits
def test_all_of_it_comes_and_the_snapshot_is_seen_to_be_the_same(tools: Path, receiver: Receiver) -> None:
    receive(receiver, sender(tools))
    assert (tools / "zfs.receive.came").read_text() == "x" * 5000
    assert receiver.whole and receiver.came == 5000
    assert (tools / "asked").read_text() == "- lz4_compress zstd_compress\n"


@limits
def test_what_is_missing_after_a_cut_is_asked_for(tools: Path, receiver: Receiver) -> None:
    (tools / "zfs.receive").write_text(f'[ -e "$0.came" ] && {{ {WHOLE}; exit; }}; touch "$0.came"; {HALF}')
    receive(receiver, sender(tools))
    assert (tools / "asked").read_text().splitlines() == [
        "- lz4_compress zstd_compress",
        "1-a-b-c lz4_compress zstd_compress",
    ]
    assert receiver.whole


def test_what_came_whole_before_it_was_noted_is_not_received_again(tools: Path, receiver: Receiver) -> None:
    (tools / "zfs.guid").write_text(f"{GUID}\n")
    (tools / "zfs.receive").write_text("exit 1")
    receive(receiver, sender(tools))
    assert receiver.whole


def test_what_zfs_cannot_take_is_not_tried_again(tools: Path, receiver: Receiver) -> None:
    (tools / "zfs.receive").write_text(
        "cat >/dev/null; echo 'cannot receive new filesystem stream: out of space' >&2; exit 1"
    )
    with pytest.raises(Refused, match="out of space"):
        receive(receiver, sender(tools))
    assert len((tools / "asked").read_text().splitlines()) == 1


def test_a_first_connection_that_fails_is_told(tools: Path, receiver: Receiver) -> None:
    with pytest.raises(Refused, match="No route to host"):
        receive(receiver, ["sh", "-c", "echo 'connect to host: No route to host' >&2; exit 255"])


@pytest.mark.parametrize("said", ["exit 3", "echo 'root@h1: Permission denied (publickey).' >&2; exit 255"])
def test_a_refusal_of_the_other_end_is_final(receiver: Receiver, said: str) -> None:
    with pytest.raises(Refused):
        connect_and_take(receiver, ["sh", "-c", said])
    receiver.guid = GUID
    with pytest.raises(Cut):
        connect_and_take(receiver, ["sh", "-c", "exit 255"])


def test_another_snapshot_than_before_is_refused(tools: Path, receiver: Receiver) -> None:
    receiver.guid = 7
    with pytest.raises(Refused, match="was taken anew"):
        connect_and_take(receiver, sender(tools))
    with pytest.raises(Refused, match="login script"):
        connect_and_take(Receiver("other/a", "gold", 0), sender(tools, magic=b"Welcome to this host"))


def test_it_gives_up_when_nothing_comes_for_long(
    tools: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tools / "zfs.receive").write_text(HALF)
    (tools / "zfs.used").write_text("4096")
    clock = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(zfs_receive.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(Refused, match="Nothing came for 60 minutes"):
        receive(receiver, sender(tools))


def test_what_arrived_is_noted_beside_the_program(
    tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zfs_receive, "__file__", str(tools / "receive.py"))
    zfs_receive.main("other/a", "gold", "0", *sender(tools))
    assert (tools / "received").read_text() == str(GUID)
    assert "the snapshot is the same" in capsys.readouterr().out
    (tools / "zfs.guid").unlink()
    (tools / "zfs.receive").write_text("cat >/dev/null")
    with pytest.raises(Refused, match="is not the snapshot that was sent"):
        zfs_receive.main("other/a", "gold", "0", *sender(tools))

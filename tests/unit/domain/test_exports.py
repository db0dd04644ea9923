"""exports keeps what it does not understand, and says what is dangerous about the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain import exports
from datastores.domain.errors import BadInput
from datastores.domain.export_checks import Severity, check, check_all, clash
from datastores.domain.exports import Client, Export, export_client, export_option, export_path

texts = st.text(
    st.one_of(st.sampled_from('# \t\n\r\\/()"-=,ab0\x0b\u2028\udc80'), st.characters(exclude_categories=())),
    max_size=300,
)
paths = st.text(st.sampled_from("abc/ #é"), max_size=10).map(lambda text: f"/srv/{text}")
clients = st.builds(
    Client,
    st.sampled_from(["10.0.0.0/24", "nfs1.example.org", "*.example.org", "@group", "fd00::/64"]),
    st.lists(st.sampled_from(["rw", "sync", "fsid=0", "anonuid=1001"]), unique=True, max_size=3).map(tuple),
)


def only(text: str) -> Export:
    (entry,) = exports.parse(text).entries()
    return entry


def codes(text: str) -> list[str]:
    return [finding.code for finding in check(only(text))]


@given(texts)
def test_every_text_comes_back_as_it_was(text: str) -> None:
    parsed = exports.parse(text)
    assert exports.render(parsed) == text
    for entry in parsed.entries():
        check(entry)


@given(paths, st.lists(clients, max_size=3).map(tuple))
def test_a_line_says_what_it_was_made_of(path: str, named: tuple[Client, ...]) -> None:
    entry = Export(path, named)
    read = only(entry.line())
    assert (read.path, read.clients, read.broken) == (path, named, "")


@given(texts, paths, clients)
def test_only_the_replaced_entry_changes(text: str, path: str, client: Client) -> None:
    before = exports.parse(text.rstrip("\\"))
    for entry in before.entries():
        after = exports.parse(exports.render(before.replaced(entry, Export(path, (client,)).line())))
        assert after.lines[: entry.first] == before.lines[: entry.first]
        assert after.lines[entry.first + 1 :] == before.lines[entry.last + 1 :]


@pytest.mark.parametrize(
    ("line", "path", "named"),
    [
        ("/srv/a 10.0.0.0/24(rw)", "/srv/a", [("10.0.0.0/24", ("rw",))]),
        ("/srv/a 10.0.0.0/24 (rw)", "/srv/a", [("10.0.0.0/24", ()), ("", ("rw",))]),
        ("/srv/a (rw)", "/srv/a", [("", ("rw",))]),
        ("/srv/a", "/srv/a", []),
        ("/srv/a -sync,rw 10.0.0.1 h2(ro)", "/srv/a", [("10.0.0.1", ("sync", "rw")), ("h2", ("sync", "rw", "ro"))]),
        ('"/srv/my disks" h1(rw) # h9(rw)', "/srv/my disks", [("h1", ("rw",))]),
        ("/srv/my\\040disks h1(rw)", "/srv/my disks", [("h1", ("rw",))]),
        ("/srv/a h1(rw) \\\n   h2(ro)", "/srv/a", [("h1", ("rw",)), ("h2", ("ro",))]),
    ],
)
def test_lines_are_read_as_nfs_utils_reads_them(line: str, path: str, named: list[tuple[str, tuple[str, ...]]]) -> None:
    entry = only(line)
    assert (entry.path, [(client.name, client.options) for client in entry.clients]) == (path, named)


def test_comments_and_blank_lines_are_no_entries() -> None:
    assert not list(exports.parse("# /srv/a h1(rw)\n\n   \t\n").entries())


def test_the_stray_blank_of_every_wiki_is_found_and_put_right() -> None:
    (worst, *_) = check(only("/path 10.0.0.0/24 (rw)"))
    assert (worst.code, worst.severity) == ("stray blank", Severity.BAD)
    assert "everybody with (rw), and to 10.0.0.0/24 with the defaults alone" in worst.text
    assert worst.remedy and worst.remedy.line() == "/path 10.0.0.0/24(rw)"


def test_the_missing_client_part_is_found() -> None:
    line = "/storage (rw,async,no_root_squash,insecure,no_subtree_check,anonuid=1001,anongid=1001)"
    assert codes(line) == ["no client", "no_root_squash", "async", "insecure"]
    assert codes("/storage") == ["no client"]


@pytest.mark.parametrize("who", ["*", "0.0.0.0/0", "::/0"])
def test_an_export_to_everybody_is_found(who: str) -> None:
    assert codes(f"/srv/a {who}(ro)") == ["world export"]
    assert check(only(f"/srv/a {who}(rw,no_root_squash)"))[1].severity is Severity.BAD


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/srv/a 10.0.0.0/24(rw,sync,no_subtree_check)", []),
        ("/srv/a 10.0.0.0/24(rw,no_rootsquash)", ["unknown option"]),
        ("/srv/a 10.0.0.0/24(rw", ["broken"]),
        ("srv/a 10.0.0.0/24(rw)", ["broken"]),
        ("/srv/a 10.0.0.0/24(rw,ro)", ["contradiction"]),
        ("/srv/a 10.0.0.0/8(rw)", ["wide network"]),
        ("/srv/a 10.0.0.0/24(rw,fsid=0)", ["fsid=0"]),
        ("/srv/a 10.0.0.0/24(rw,fsid=root)", ["fsid=0"]),
    ],
)
def test_what_is_said_of_a_line(line: str, expected: list[str]) -> None:
    assert codes(line) == expected


def test_two_roots_of_one_server_contradict_each_other() -> None:
    text = "/srv/a h1(rw,fsid=0)\n/srv/b h1(rw,fsid=0)\n/srv/c h1(rw)\n"
    found = {entry.path: findings for entry, findings in check_all(exports.parse(text).entries())}
    assert [finding.severity for finding in found["/srv/a"]] == [Severity.INFO, Severity.BAD]
    assert "/srv/b has fsid=0 as well" in found["/srv/a"][1].text
    assert found["/srv/c"] == []


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (" 10.0.0.0/24 ", "10.0.0.0/24"),
        ("192.168.0.0/255.255.255.0", "192.168.0.0/24"),
        ("10.0.0.7/32", "10.0.0.7"),
        ("10.0.0.7", "10.0.0.7"),
        ("FD00::/64", "fd00::/64"),
        ("NFS1.example.org", "nfs1.example.org"),
    ],
)
def test_a_client_is_an_address_a_network_or_a_name(given_: str, expected: str) -> None:
    assert export_client(given_) == expected


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ("", "everybody"),
        ("*", "everybody"),
        ("0.0.0.0/0", "everybody"),
        ("10.0.0.7/24", "the network is 10.0.0.0/24"),
        ("10.0.0.0/33", "no network"),
        ("h1(rw)", "neither"),
        ("h1 h2", "neither"),
        ("h1\n/etc *(rw)", "control character"),
    ],
)
def test_other_clients_are_refused(given_: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        export_client(given_)


@pytest.mark.parametrize("path", ["/srv/a b", '/srv/"a', "/srv/a#b", "/srv/a(b", "srv/a", "/srv/../etc", "/srv/a\\b"])
def test_paths_that_the_file_would_read_otherwise_are_refused(path: str) -> None:
    with pytest.raises(BadInput):
        export_path(path)


def test_options_are_those_of_the_manual() -> None:
    assert export_option("anonuid=1001") == "anonuid=1001"
    for wrong in ("no_rootsquash", "rw)", "anonuid=1)", "", "rw,ro"):
        with pytest.raises(BadInput):
            export_option(wrong)


@pytest.mark.parametrize(
    ("text", "root", "why"),
    [
        ("", True, ""),
        ("/srv/b h1(rw)\n", False, ""),
        ("/srv/a h1(rw,fsid=0)\n", True, ""),
        ("/srv/b h1(rw)\n/srv/c h1(rw)\n", True, "not find /srv/b, /srv/c any more"),
        ("/srv/b h1(rw,fsid=0)\n", True, "not find /srv/b any more"),
        ("/srv/b h1(rw,fsid=root)\n", False, "/srv/b has fsid=0"),
    ],
)
def test_a_new_export_neither_hides_others_nor_is_hidden(text: str, root: bool, why: str) -> None:
    said = clash("/srv/a", root=root, others=list(exports.parse(text).entries()))
    assert why in said and bool(why) == bool(said)

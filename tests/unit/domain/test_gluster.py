"""What forms a GlusterFS volume, and what its names may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain.errors import BadInput, Refused
from datastores.domain.gluster import (
    Brick,
    Form,
    Layout,
    address_list,
    brick_path,
    check_layout,
    option_name,
    option_value,
    parse_brick,
    peer_name,
    volume_name,
)

REPLICA, ARBITER, DISPERSE = Layout(copies=3), Layout(copies=3, arbiters=1), Layout(fragments=6, redundancy=2)


def on(*peers: str) -> list[Brick]:
    return [Brick(peer, f"/srv/b/{number}") for number, peer in enumerate(peers)]


@pytest.mark.parametrize(
    ("layout", "bricks", "form", "words", "name"),
    [
        (Layout(), 4, Form.DISTRIBUTE, "", "distribute 4"),
        (REPLICA, 3, Form.REPLICATE, "replica 3", "replicate 1 x 3"),
        (REPLICA, 6, Form.REPLICATE, "replica 3", "distributed replicate 2 x 3"),
        (ARBITER, 6, Form.ARBITER, "replica 3 arbiter 1", "distributed replicate with arbiter 2 x (2 + 1)"),
        (DISPERSE, 6, Form.DISPERSE, "disperse 6 redundancy 2", "disperse 1 x (4 + 2)"),
        (DISPERSE, 12, Form.DISPERSE, "disperse 6 redundancy 2", "distributed disperse 2 x (4 + 2)"),
    ],
)
def test_a_layout_is_named_as_people_and_as_gluster_name_it(
    layout: Layout, bricks: int, form: Form, words: str, name: str
) -> None:
    assert (layout.form, " ".join(layout.words), layout.name(bricks)) == (form, words, name)


def test_what_may_fail_and_what_is_left_to_use() -> None:
    layouts = (Layout(), Layout(copies=2), REPLICA, ARBITER, DISPERSE)
    assert [layout.may_fail for layout in layouts] == [0, 0, 1, 1, 2]
    assert [round(layout.usable, 3) for layout in layouts] == [1.0, 0.5, 0.333, 0.5, 0.667]


def test_remarks_warn_of_what_is_allowed_and_seldom_wanted() -> None:
    assert "split-brain" in Layout(copies=2).remark
    assert "no power of two" in Layout(fragments=5, redundancy=2).remark
    assert "on one brick only" in Layout().remark
    assert not any(layout.remark for layout in (REPLICA, ARBITER, DISPERSE))


@pytest.mark.parametrize(
    "wrong",
    [
        {"copies": 0},
        {"copies": 2, "arbiters": 1},
        {"copies": 3, "arbiters": 2},
        {"copies": 3, "fragments": 3, "redundancy": 1},
        {"fragments": 3},
        {"redundancy": 1},
        {"fragments": 4, "redundancy": 2},
        {"fragments": 2, "redundancy": 1},
    ],
)
def test_layouts_that_gluster_has_not_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        Layout(**wrong)


@given(st.integers(1, 40), st.sampled_from([REPLICA, ARBITER, DISPERSE, Layout(copies=2)]))
def test_bricks_come_in_whole_sets(count: int, layout: Layout) -> None:
    bricks = on(*(f"h{number}" for number in range(count)))
    if count % layout.set_size:
        with pytest.raises(Refused, match=f"{layout.set_size} at a time: {count} is no multiple"):
            check_layout(layout, bricks)
    else:
        check_layout(layout, bricks)


def test_bricks_of_one_set_are_on_different_hosts_unless_it_is_forced() -> None:
    check_layout(Layout(copies=2), on("h1", "h2", "h1", "h2"))
    with pytest.raises(Refused, match=r"Set 2 has several bricks on h3: .* force it"):
        check_layout(Layout(copies=2), on("h1", "h2", "h3", "h3"))
    check_layout(Layout(copies=2), on("h1", "h2", "h3", "h3"), forced=True)
    check_layout(Layout(), on("h1", "h1"))


def test_no_brick_is_named_twice_and_there_is_at_least_one() -> None:
    for forced in (False, True):
        with pytest.raises(Refused, match="h1:/a is named twice"):
            check_layout(Layout(), [Brick("h1", "/a"), Brick("h1", "/a")], forced=forced)
        with pytest.raises(Refused, match="0 is no multiple"):
            check_layout(Layout(), [], forced=forced)


@pytest.mark.parametrize(("word", "form"), [("Striped-Replicate", Form.STRIPE), ("Tier", Form.TIER)])
def test_obsolete_types_are_shown_and_never_made(word: str, form: Form) -> None:
    layout = Layout(obsolete=word)
    assert layout.form is form
    assert layout.name(4) == f"{word.lower()} (obsolete)"
    with pytest.raises(Refused, match="obsolete since GlusterFS 6"):
        check_layout(layout, on("h1", "h2"))


def test_a_brick_is_written_as_gluster_writes_it() -> None:
    for brick in (Brick("h1", "/srv/b"), Brick("fe80::1", "/srv/b"), Brick("H1", "/old name")):
        assert parse_brick(str(brick)) == brick


@pytest.mark.parametrize("name", ["vms", "a", "9-Vms_x", "v" * 128])
def test_names_of_volumes(name: str) -> None:
    assert volume_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "_a", "a.b", "a/b", "all", "volume", "v" * 129, "a b", "ä", "a\n"])
def test_names_that_no_volume_may_have(name: str) -> None:
    with pytest.raises(BadInput, match="no name of a GlusterFS volume"):
        volume_name(name)


@pytest.mark.parametrize("path", ["", "/", "srv", "/srv/", "/srv/../x", "/srv/a b", "/srv/a:b", "/srv/a,b", "/srv/$x"])
def test_paths_that_no_brick_may_have(path: str) -> None:
    with pytest.raises(BadInput):
        brick_path(path)


@pytest.mark.parametrize("peer", ["", "localhost", "-h", "H1", "h1;id", "10.0.0"])
def test_what_is_no_peer(peer: str) -> None:
    with pytest.raises(BadInput):
        peer_name(peer)


@pytest.mark.parametrize("text", ["*", "10.77.*", "10.*.1.*", "10.0.0.7,10.0.0.8", "10.0.0.0/24", "fe80::1"])
def test_who_may_mount(text: str) -> None:
    assert address_list(text) == option_value("auth.allow", text) == text


@pytest.mark.parametrize("text", ["", "10", "10.0", "300.*", "10.0.0.7, 10.0.0.8", "10.0.0.7,", "10.0.0.1/24", "x"])
def test_who_cannot_be_named(text: str) -> None:
    with pytest.raises(BadInput, match="is no address"):
        address_list(text)


def test_options_have_full_names_and_values_without_blanks_around_them() -> None:
    assert option_name("network.ping-timeout") == "network.ping-timeout"
    assert option_value("network.ping-timeout", "42") == "42"
    for name in ("ping-timeout", "--xml", "auth.", "a b.c", "Auth.allow"):
        with pytest.raises(BadInput):
            option_name(name)
    for value in ("", " on", "a\nb", "x" * 1025):
        with pytest.raises(BadInput):
            option_value("nfs.disable", value)

"""Settings change; comments, order and everything else stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain import keyvalue
from datastores.domain.errors import BadInput
from datastores.domain.keyvalue import Setting

alphabet = st.one_of(
    st.sampled_from("ab=[]#; \t\n\r\\\"'.-_\x0b\x0c\x85\u2028\udc80"), st.characters(exclude_categories=())
)
lines = st.one_of(
    st.text(alphabet, max_size=30),
    st.sampled_from(
        ["[a]", "[b]", " [ a ] ", "k = 1", "k=2", "  k =3 ", "#k = 0", "; k=0", "# k", "k", "l=[", "]", "m = x \\", ""]
    ),
)
texts = st.lists(lines, max_size=15).map("\n".join)
settings = st.builds(
    Setting,
    st.sampled_from(["k", "l", "m", "Nobody-User"]),
    st.one_of(st.text(st.characters(categories=("L", "N", "P")), max_size=10), st.sampled_from(['"x y"', "=", "# no"])),
    st.sampled_from(["", "a", "b", "New Section"]),
)


@given(texts)
def test_every_text_comes_back_as_it_was(text: str) -> None:
    assert keyvalue.render(keyvalue.parse(text)) == text


@given(texts, settings)
def test_a_setting_that_was_made_is_there(text: str, setting: Setting) -> None:
    after = keyvalue.parse(keyvalue.render(keyvalue.parse(text).with_setting(setting)))
    assert after.has(setting)
    assert after.with_setting(setting) == after


@given(texts, settings, settings)
def test_a_setting_leaves_other_settings_alone(text: str, setting: Setting, other: Setting) -> None:
    before = keyvalue.parse(text)
    after = keyvalue.parse(keyvalue.render(before.with_setting(setting)))
    if (other.section, other.key) != (setting.section, setting.key):
        assert after.values(other.key, other.section) == before.values(other.key, other.section)


@given(texts, settings)
def test_no_line_is_lost_but_those_that_set_the_key(text: str, setting: Setting) -> None:
    before = keyvalue.parse(text)
    after = before.with_setting(setting)
    changed = len(before.values(setting.key, setting.section))
    kept = [line for line in after.lines if line.strip()]
    lost = [line for line in before.lines if line.strip()]
    for line in kept:
        if line in lost:
            lost.remove(line)
    assert len(lost) <= changed


def test_a_value_is_compared_as_it_stands() -> None:
    file = keyvalue.parse('user = "root"\n')
    assert file.has(Setting("user", '"root"'))
    assert not file.has(Setting("user", "root"))
    assert not file.has(Setting("group", '"root"'))


def test_lines_that_contradict_each_other_are_all_changed() -> None:
    file = keyvalue.parse("a=1\nb=2\na=3\n")
    assert not file.has(Setting("a", "3"))
    assert keyvalue.render(file.with_setting(Setting("a", "3"))) == "a=3\nb=2\na=3\n"


def test_the_same_key_in_another_section_is_another_setting() -> None:
    text = "[a]\nk = 1\n\n[b]\nk = 2\n"
    assert keyvalue.render(keyvalue.parse(text).with_setting(Setting("k", "3", "b"))) == "[a]\nk = 1\n\n[b]\nk = 3\n"


def test_a_new_line_follows_the_commented_default_and_the_style_of_the_file() -> None:
    text = "#\tk = no default, but a text\n#k=1\n\n#l=2\n"
    assert keyvalue.render(keyvalue.parse(text).with_setting(Setting("k", "5"))) == (
        "#\tk = no default, but a text\n#k=1\nk=5\n\n#l=2\n"
    )


def test_a_new_line_goes_to_the_end_of_its_section_and_a_new_section_to_the_end() -> None:
    text = "[a]\nx = 1\n\n[b]\ny = 2"
    once = keyvalue.parse(text).with_setting(Setting("z", "3", "a"))
    assert keyvalue.render(once) == "[a]\nx = 1\nz = 3\n\n[b]\ny = 2"
    assert keyvalue.render(once.with_setting(Setting("n", "4", "c"))) == (
        "[a]\nx = 1\nz = 3\n\n[b]\ny = 2\n\n[c]\nn = 4\n"
    )


def test_before_the_first_header_is_a_place_too() -> None:
    assert keyvalue.render(keyvalue.parse("[a]\nx=1\n").with_setting(Setting("k", "v"))) == "k=v\n[a]\nx=1\n"
    assert keyvalue.render(keyvalue.parse("").with_setting(Setting("k", "v"))) == "k = v\n"
    assert keyvalue.render(keyvalue.parse("").with_setting(Setting("k", "v", "s"))) == "[s]\nk = v\n"


def test_carriage_returns_stay() -> None:
    assert keyvalue.render(keyvalue.parse("k = 1\r\nl = 2\r\n").with_setting(Setting("k", "3"))) == "k = 3\r\nl = 2\r\n"


@pytest.mark.parametrize("text", ['k = [\n "a",\n]\n', "k = a \\\nb\n", "k = a\n  b\n"])
def test_values_of_several_lines_are_seen(text: str) -> None:
    assert keyvalue.parse(text).spans_lines("k")


@pytest.mark.parametrize(
    "text", ['k = [ "a" ]\nl = 1\n', "k = 1\n\n  x\n", "k = 1\n  # why\n", "k=1\n\tl=2\n", "k=1\nfi\n"]
)
def test_values_of_one_line_are_seen(text: str) -> None:
    assert not keyvalue.parse(text).spans_lines("k")


@pytest.mark.parametrize(
    ("key", "value", "section"),
    [("", "1", ""), ("a b", "1", ""), ("a=b", "1", ""), ("#a", "1", ""), ("-a", "1", ""), ("a\n", "1", ""),
     ("a", "1\nb = 2", ""), ("a", " 1", ""), ("a", "1\t", ""), ("a", "\0", ""), ("a", "1", "]x"), ("a", "1", "x\n[y")],
)  # fmt: skip
def test_a_setting_cannot_become_two(key: str, value: str, section: str) -> None:
    with pytest.raises(BadInput):
        Setting(key, value, section)

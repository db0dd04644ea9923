"""Nothing gets past a validator that could mean more than it says."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain import values
from datastores.domain.errors import BadInput

HOSTILE = [
    "", " ", ";id", "`id`", "$(id)", "a\nb", "a\0b", "a'b", 'a"b', "-oProxyCommand=id", "--", "../etc", "a/b", "a|b",
    "\u202eexe", "a\u200bb", "a\u2028b", "\ud800", "x" * 300, "é\u0301;", "*", "~root", "%2e%2e",
]  # fmt: skip
CONTROLS = ["a\nb", "a\0b", "a\x7fb", "a\x1b[31m", "a\u202eb", "a\u200bb", "a\u2028b", "a\udcffb", "a\ue000b"]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("validate", [values.object_name, values.account_name, values.file_mode, values.parse_size])
def test_hostile_words_are_refused(validate: object, value: str) -> None:
    assert callable(validate)
    with pytest.raises(BadInput):
        validate(value)


@pytest.mark.parametrize(
    "value", [*HOSTILE, "10.1", "0x7f000001", "2130706433", "0177.0.0.1", "a..b", "-a.b", "a_b", "[::1]"]
)
def test_what_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(BadInput):
        values.host_address(value)


@pytest.mark.parametrize(
    ("value", "canonical"),
    [("10.0.0.1", "10.0.0.1"), (" Host1.Example. ", "host1.example"), ("fd00:0:0::1", "fd00::1"), ("h-1", "h-1")],
)
def test_addresses_get_their_usual_form(value: str, canonical: str) -> None:
    assert values.host_address(value) == canonical


@pytest.mark.parametrize("value", ["Debian 12", "a", "disk.0", "v1.2_x+y-z", "x" * 128])
def test_names_are_accepted(value: str) -> None:
    assert values.object_name(f" {value} ") == value


@pytest.mark.parametrize("value", CONTROLS)
def test_invisible_characters_are_refused_everywhere(value: str) -> None:
    for validate in (values.object_name, values.host_address):
        with pytest.raises(BadInput):
            validate(value)
    with pytest.raises(BadInput):
        values.absolute_path(f"/srv/{value}")


@given(st.text(max_size=60))
def test_a_path_is_refused_or_canonical(text: str) -> None:
    try:
        path = values.absolute_path(text)
    except BadInput:
        return
    assert path.startswith("/")
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))
    assert path == "/" or not path.endswith("/")
    assert values.absolute_path(path) == path


@given(st.lists(st.text(string.ascii_letters + " .-", min_size=1, max_size=5), max_size=6))
def test_paths_of_ordinary_parts_keep_their_parts(parts: list[str]) -> None:
    wanted = [part for part in parts if part not in {".", ".."}]
    assert values.absolute_path("//" + "//".join(wanted) + "/") == "/" + "/".join(wanted)


@pytest.mark.parametrize("value", ["", "srv", "/srv/../etc", "/srv/.", "/" + "a" * 256, "/é" * 700, "~/x"])
def test_other_paths_are_refused(value: str) -> None:
    with pytest.raises(BadInput):
        values.absolute_path(value)


def test_below_means_by_components() -> None:
    assert values.is_below("/var/tmp/x", "/var/tmp")
    assert values.is_below("/var/tmp", "/var/tmp")
    assert values.is_below("/x", "/")
    assert not values.is_below("/var/tmpevil/x", "/var/tmp")
    assert not values.is_below("/var", "/var/tmp")


@pytest.mark.parametrize("value", ["root", "_apt", "libvirt-qemu", "a" * 32])
def test_account_names_are_accepted(value: str) -> None:
    assert values.account_name(value) == value


@pytest.mark.parametrize("value", ["Root", "1a", "-a", "a b", "a" * 33, "a\n", "a:b", "a$"])
def test_other_account_names_are_refused(value: str) -> None:
    with pytest.raises(BadInput):
        values.account_name(value)


def test_modes_have_four_digits() -> None:
    assert [values.file_mode(mode) for mode in ("755", "0755", "2771", "02771")] == ["0755", "0755", "2771", "2771"]
    for bad in ("7", "999", "17555", "075555", "u+x", "0o755", "755\n"):
        with pytest.raises(BadInput):
            values.file_mode(bad)


def test_ports_are_those_of_tcp() -> None:
    assert values.port_number(22) == 22
    for bad in (0, -1, 65536):
        with pytest.raises(BadInput):
            values.port_number(bad)


@pytest.mark.parametrize(
    ("text", "size"),
    [("25 GiB", 25 << 30), ("25G", 25 << 30), ("25gb", 25 << 30), ("1.5T", 3 << 39), ("1048576", 1 << 20), ("1 b", 1)],
)
def test_sizes_are_binary(text: str, size: int) -> None:
    assert values.parse_size(text) == size


def test_a_disk_is_whole_sectors() -> None:
    assert values.disk_size("1 MiB") == 1 << 20
    assert values.disk_size("64 TiB") == 64 << 40
    assert values.disk_size("1.3 GiB") % 512 == 0
    for bad in ("10", "512 B", "1 KiB", "1048577", "65 TiB"):
        with pytest.raises(BadInput):
            values.disk_size(bad)


@pytest.mark.parametrize("path", ["/srv/images", "/srv/my images/a-b_c.d+e@f", "/srv/bücher", "/running/x", "/home/x"])
def test_a_datastore_may_be_there(path: str) -> None:
    assert values.base_path(path) == path


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/home", "/proc", "/proc/x", "/sys/x", "/dev/shm", "/run/x", "/srv/a;b", "/srv/$(x)", "/a'b",
             "/srv/a,b", "/srv/a\nb", "srv"],
)  # fmt: skip
def test_a_datastore_may_not_be_there(path: str) -> None:
    with pytest.raises(BadInput):
        values.base_path(path)


@pytest.mark.parametrize("path", ["/srv/import", "/var/tmp", "/var/lib/images", "/home/images", "/etcetera"])
def test_images_may_be_registered_from_there(path: str) -> None:
    assert values.source_directory(path) == path


@pytest.mark.parametrize(
    "path", ["/", "//", "/etc", "/etc/ssl", "/root/images", "/dev", "/proc/1", "/var", "/home", "srv"]
)
def test_nothing_can_be_registered_from_where_secrets_are(path: str) -> None:
    with pytest.raises(BadInput):
        values.source_directory(path)


@pytest.mark.parametrize("text", ["0", "-1", "1e9", "1 X", "G", "1.G", "9999999P", "1,5G", "1G\n;", "٣G\0"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        values.parse_size(text)


@given(st.integers(min_value=1, max_value=1 << 59))
def test_a_written_size_is_read_as_about_the_same(size: int) -> None:
    assert values.parse_size(values.format_size(size)) == pytest.approx(size, rel=0.006)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1 << 10, "1 KiB"), (842006528, "803 MiB"), (3 << 39, "1.50 TiB"),
     (25 << 30, "25 GiB"), (12_345_678, "11.8 MiB")],
)  # fmt: skip
def test_sizes_are_written_with_three_digits(size: int, text: str) -> None:
    assert values.format_size(size) == text

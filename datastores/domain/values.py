"""Validators of everything that a person, a file or a remote host may give us.

Each returns the value in its canonical form or raises BadInput with a sentence for the person.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
import unicodedata
from urllib.parse import urlsplit

from datastores.domain.errors import BadInput

NAME_MAX = 128
PATH_MAX = 1024
SECTOR = 512
DISK_MIN, DISK_MAX = 1 << 20, 64 << 40
MOST_DIGITS = 18
"""So many fit into a column of the database."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]*\Z")
_BASE = re.compile(r"[\w /.+@-]+\Z")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)\Z")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")  # useradd(8), Debian's NAME_REGEX
_MODE = re.compile(r"0?[0-7]{3,4}\Z")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?B?)\s*\Z", re.IGNORECASE)

NO_DISK = ("/dev", "/proc", "/sys", "/run")
"""What is below these is not on a disk."""
SYSTEM_FILES = ("/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/boot", "/root")
OWN_STATE = "/var/lib/cloudstore"
TOO_WIDE = frozenset({"/", "/var", "/var/lib", "/home"})
SYSTEM_DIRECTORIES = frozenset({"/", "/etc", "/usr", "/bin", "/boot", "/root", "/home"})


def whole(text: str) -> int | None:
    """Return the whole number that the text is; None when it is none. Digits of other scripts are no digits here."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def _no_controls(value: str, what: str) -> str:
    """Refuse control, format (right-to-left marks, zero width) and separator characters and lone surrogates."""
    if value.isprintable():  # then it has none of these; a scan asks it of each of 100,000 paths
        return value
    for character in value:
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
            raise BadInput(f"{what} contains an invisible or control character (U+{ord(character):04X}).")
    return value


def object_name(value: str, what: str = "The name") -> str:
    """Return the name of an image, datastore, VM, cluster or snapshot.

    Letters, digits, blank and ``. _ + -``, at most 128, beginning with a letter or digit.
    """
    value = _no_controls(value, what).strip()
    if not value:
        raise BadInput(f"{what} is empty.")
    if len(value) > NAME_MAX:
        raise BadInput(f"{what} has {len(value)} characters; at most {NAME_MAX} are allowed.")
    if not _NAME.match(value):
        raise BadInput(f"{what} may hold letters, digits, blanks and . _ + - and begins with a letter or digit.")
    return value


def absolute_path(value: str, what: str = "The path") -> str:
    """Return an absolute POSIX path without ``.``, ``..``, doubled slashes or trailing slash."""
    value = _no_controls(value, what)
    if not value.startswith("/"):
        raise BadInput(f"{what} must be absolute (begin with /).")
    if len(value.encode()) > PATH_MAX:
        raise BadInput(f"{what} is longer than {PATH_MAX} bytes.")
    parts = value.split("/")
    if len(value) > 63 and any(len(part.encode()) > 255 for part in parts):  # 4 bytes at most for each character
        raise BadInput(f"{what} has a component of more than 255 bytes.")
    if "." in parts or ".." in parts:
        raise BadInput(f"{what} must not contain . or .. components.")
    return posixpath.normpath("/" + value.lstrip("/"))


def base_path(value: str) -> str:
    """Return the path of a directory that can become a datastore.

    Refused are what belongs to the system, and characters that mean something to shells, mount tables or disk tools.
    """
    path = absolute_path(value, "The base path")
    if not _BASE.match(path):
        raise BadInput("The base path may hold letters, digits, blanks and / . _ + @ -.")
    if path in SYSTEM_DIRECTORIES or any(is_below(path, directory) for directory in NO_DISK):
        raise BadInput(f"{path} belongs to the system. Choose a directory of its own, such as /srv/images.")
    return path


def own_directory(path: str, what: str = "The base path") -> str:
    """Return the path of a directory that a new datastore may fill.

    :raises BadInput: files of the system, or of cloudstore itself, lie around it.
    """
    if any(is_below(path, directory) for directory in (*NO_DISK, *SYSTEM_FILES, OWN_STATE)):
        raise BadInput(f"{what} {path} belongs to the system. Choose a directory of its own, such as /srv/images.")
    return path


def disk_mode(value: str) -> str:
    """Return the octal mode of new images and disks.

    :raises BadInput: their owner could not read and write them, or they could be run as programs.
    """
    mode = int(file_mode(value), 8)
    if mode & 0o600 != 0o600 or mode & ~0o666:
        raise BadInput(f"With the mode {value} images and disks could not be used, or be run. Take one such as 0660.")
    return value


def source_directory(value: str) -> str:
    """Return the path of a directory from which every tenant may register any file as an image.

    :raises BadInput: it belongs to the system, or so much of a host lies below it that secrets do.
    """
    path = absolute_path(value, "A source directory")
    if path in TOO_WIDE or any(is_below(path, directory) for directory in (*NO_DISK, *SYSTEM_FILES)):
        raise BadInput(
            f"{path} belongs to the system, and tenants may register any file below a source directory as an image. "
            "Choose a directory that holds nothing but images, such as /srv/import."
        )
    return path


def is_below(path: str, directory: str) -> bool:
    """Tell whether ``path`` is ``directory`` or lies in it, component by component.

    Both must be canonical already (``realpath``). "/var/tmpevil" is not below "/var/tmp".
    """
    return posixpath.commonpath((path, directory)) == posixpath.normpath(directory)


def host_address(value: str, what: str = "The address") -> str:
    """Return a host name (RFC 1123) or an IP address; ``what`` begins the sentence that says why it is neither."""
    value = _no_controls(value, what).strip()
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        pass  # then it has to be a host name
    if not value or len(value) > 253 or not all(_LABEL.match(label) for label in value.rstrip(".").split(".")):
        raise BadInput(f"{what} is neither a host name nor an IP address.")
    if re.fullmatch(r"[0-9.]+|0[xX][0-9a-fA-F]+", value):
        raise BadInput(f"{what} looks like a number, but is not an IP address in its usual form.")
    return value.rstrip(".").lower()


def one_line(value: str, what: str = "The text") -> str:
    """Return text without control, invisible or line-breaking characters."""
    return _no_controls(value, what)


def web_address(value: str, what: str = "The address") -> str:
    """Return an http or https address of a host, without credentials or a fragment.

    :raises BadInput: it is none, or holds what must not be sent or shown.
    """
    value = _no_controls(value, what).strip()
    if len(value) > 500 or not value.isascii() or set(value) & set(' "<>\\^`{|}'):
        raise BadInput(f"{what} has at most 500 characters, and only those that an address may hold.")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise BadInput(f"{what} cannot be read: {error}.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadInput(f"{what} begins with https:// or http:// and the name of a host.")
    if parts.username is not None or parts.password is not None:
        raise BadInput(f"{what} holds a user name or password. Leave it out: addresses are shown and logged.")
    if "#" in value:
        raise BadInput(f"{what} has a fragment (#), which is never sent.")
    if port is not None:
        port_number(port)
    host_address(parts.hostname, f"The host in {what[:1].lower()}{what[1:]}")
    return value


def account_name(value: str) -> str:
    """Return the name of a Unix account or group."""
    if not _ACCOUNT.match(value):
        raise BadInput(f"{value[:40]!r} is not an account name (small letters, digits, _ and -, at most 32).")
    return value


def port_number(value: int) -> int:
    if not 1 <= value <= 65535:
        raise BadInput("The port is a number from 1 to 65535.")
    return value


def file_mode(value: str) -> str:
    """Return an octal file mode with four digits, for example 0755."""
    if not _MODE.match(value):
        raise BadInput(f"{value[:10]!r} is not an octal file mode such as 0755.")
    return value.zfill(4)[-4:]


def parse_size(value: str) -> int:
    """Return bytes for "25 GiB", "25G", "1.5T" or "1048576"; units are binary, as everywhere in the product."""
    match = _SIZE.match(value)
    if not match:
        raise BadInput("A size is a number with an optional unit, such as 25 GiB.")
    number, unit, _ = match.groups()
    size = int(float(number) * 1024 ** " KMGTP".index(unit.upper() or " "))
    if not 0 < size < 1 << 60:
        raise BadInput("The size is out of range: it must be more than nothing, and less than 1 EiB.")
    return size


def disk_size(value: str) -> int:
    """Return the bytes of a disk, as ``parse_size``; a fraction of a unit ("1.3 GiB") is rounded down to a sector."""
    size = parse_size(value)
    return whole_disk(size - size % SECTOR if "." in value else size)


def whole_disk(size: int) -> int:
    """Return the bytes if a disk may have so many."""
    if not DISK_MIN <= size <= DISK_MAX:
        raise BadInput(f"A disk has from {format_size(DISK_MIN)} to {format_size(DISK_MAX)}.")
    if size % SECTOR:
        raise BadInput(f"The size of a disk is a multiple of {SECTOR} bytes.")
    return size


def format_size(size: int) -> str:
    """Return "25 GiB", "803 MiB", "1.5 TiB": binary units, three significant digits."""
    if size < 1024:
        return f"{size} B"
    number = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        number /= 1024
        if number < 1024 or unit == "PiB":
            break
    digits = 0 if number >= 100 or number == int(number) else 1 if number >= 10 else 2
    return f"{number:.{digits}f} {unit}"

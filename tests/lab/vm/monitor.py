"""What is said to a running qemu: one line of its monitor, over its socket."""

import json
import socket
from pathlib import Path
from typing import IO, Any

from tests.lab.machine import LabError


def told(path: Path, line: str, *, seconds: float = 60) -> str:
    """Say a line to the monitor and return what it printed."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(str(path))
            with connection.makefile("rw") as stream:
                stream.readline()  # its greeting
                _ask(stream, {"execute": "qmp_capabilities"})
                words = {"execute": "human-monitor-command", "arguments": {"command-line": line}}
                return str(_ask(stream, words))
        except OSError as error:
            raise LabError(f"{path}: {line!r} was not answered ({error}).") from error


def _ask(stream: IO[str], words: dict[str, Any]) -> Any:
    stream.write(json.dumps(words) + "\n")
    stream.flush()
    for text in stream:
        answer = json.loads(text)
        if "error" in answer:
            raise LabError(f"qemu: {answer['error']['desc']}")
        if "return" in answer:
            return answer["return"]  # anything else is an event
    raise LabError("qemu has ended.")

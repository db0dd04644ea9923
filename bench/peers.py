"""The other ways to run one command on a host, and how long each takes."""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.site import kept_ssh, median_of, timed
from datastores.domain.errors import CommandFailed
from datastores.domain.plan import Command
from datastores.transport.shell import SSHShell
from tests.lab.node import Node

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")


def over_ssh(host: Node, commands: Sequence[Sequence[str]]) -> float:
    """Return the median seconds of a command by OpenSSH's client on a connection that is open already."""
    with kept_ssh(host) as ssh:
        return statistics.median(
            timed(lambda argv=argv: subprocess.run([*ssh, shlex.join(argv)], check=True, timeout=60))  # type: ignore[misc]
            for argv in commands
        )


def over_our_pool(shell: SSHShell, commands: Sequence[Sequence[str]]) -> float:
    """Return the median seconds of a command by the product's own transport on a warm connection."""
    run_in(shell, "true")
    return statistics.median(timed(lambda argv=argv: run_in(shell, *argv)) for argv in commands)  # type: ignore[misc]


def run_in(shell: SSHShell, *argv: str, seconds: float = 300) -> str:
    output = shell.run(Command(argv, timeout=seconds))
    if not output.ok:
        raise CommandFailed(argv, output.exit_status, output.stderr, shell.host)
    return output.stdout


class Ansible:
    """Playbooks against hosts of the lab: pipelining on, connections kept, no facts gathered."""

    def __init__(self, hosts: Sequence[Node], directory: Path, *, forks: int = 50) -> None:
        self.directory, self.forks = directory, forks
        lines = [f"{host.name} ansible_host={host.address}" for host in hosts]
        (directory / "inventory").write_text("\n".join(lines) + "\n")
        first = hosts[0].site
        self.env = {
            **os.environ,
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_FORKS": str(forks),
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_REMOTE_USER": "root",
            "ANSIBLE_PRIVATE_KEY_FILE": str(first.key),
            "ANSIBLE_SSH_ARGS": (
                "-F none -oControlMaster=auto -oControlPersist=300 -oIdentitiesOnly=yes "
                f"-oUserKnownHostsFile={first.known_hosts} -oStrictHostKeyChecking=yes"
            ),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"),
            "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_NOCOLOR": "true",
        }

    def play(self, tasks: list[dict[str, Any]], *, hosts: str = "all", seconds: float = 600) -> str:
        """Run tasks and return what it printed.

        :raises RuntimeError: a task failed; with the end of what it printed.
        """
        book = self.directory / "play.json"
        book.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]))
        done = subprocess.run(
            [ANSIBLE, "-i", self.directory / "inventory", book],
            env=self.env, capture_output=True, text=True, check=False, timeout=seconds, cwd=self.directory,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"ansible-playbook: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def disconnect(self) -> None:
        """End the connections that OpenSSH keeps for it."""
        for socket in (self.directory / "cp").glob("*"):
            subprocess.run(["ssh", f"-oControlPath={socket}", "-O", "exit", "any"], check=True, capture_output=True)

    def one_command(self, argv: Sequence[str], times: int) -> float:
        """Return the median seconds from start to end of a play with this one command."""
        self.play([command_task(argv)])  # opens the connection
        return median_of(times, lambda: self.play([command_task(argv)]))

    def per_item(self, argv: Sequence[str], items: int) -> float:
        """Return the seconds that one more item costs in a loop over this command, without the program's start."""
        one, all_ = ({**command_task(argv), "loop": list(range(count))} for count in (1, items))
        return (timed(lambda: self.play([all_])) - timed(lambda: self.play([one]))) / (items - 1)


def command_task(argv: Sequence[str]) -> dict[str, Any]:
    return {"ansible.builtin.command": {"argv": list(argv)}}

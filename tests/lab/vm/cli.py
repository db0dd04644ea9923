"""The command line of the lab of virtual machines; see lab.py beside this."""

import argparse
import signal
import subprocess
import sys

from tests.lab.machine import LabError
from tests.lab.vm import image
from tests.lab.vm.lab import MachineLab

HOST_VERBS = {
    "cut": "pull a machine's network cable",
    "heal": "put a machine's network cable back",
    "power-off": "pull a machine's power: its files stay",
    "power-on": "start a machine again, with its files",
    "reboot": "reboot a machine, and wait for it",
}


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default="vm", help="which lab (default: vm)")
    common.add_argument("--subnet", help="the /24 of a new lab (default: a free one of 10.77.0.0/16)")
    parser = argparse.ArgumentParser(prog="lab.py", description="Virtual machines for tests.")
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, parents=[common])

    verb("build", "build the disk image")
    up = verb("up", "bring up machines, and save them when they are ready")
    up.add_argument("count", type=int, metavar="N")
    up.add_argument("--first", type=int, default=1, metavar="K", help="the first one's number")
    verb("restore", "bring all machines back to the saved state")
    verb("down", "end machines and remove them").add_argument("hosts", nargs="*", metavar="HOST")
    verb("list", "show the machines")
    for name, text in HOST_VERBS.items():
        verb(name, text).add_argument("host", metavar="HOST")
    ssh = verb("ssh", "run a command on a machine as root, or log in")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD")
    return parser


def _list(lab: MachineLab) -> None:
    for guest in lab.hosts():
        state = "off" if not guest.running else "cut" if guest.is_cut else "running"
        sys.stdout.write(f"{lab.site.name:10} {guest.name:5} {guest.address:15} {state}\n")


def _in_lab(lab: MachineLab, arguments: argparse.Namespace) -> int:
    match arguments.verb:
        case "up":
            lab.up(arguments.count, first=arguments.first)
            _list(lab)
        case "restore":
            lab.restore()
        case "down":
            lab.down(arguments.hosts)
        case "list":
            _list(lab)
        case "ssh":
            return subprocess.run([*lab.host(arguments.host).ssh(), *arguments.words], check=False).returncode
        case verb:
            getattr(lab.host(arguments.host), verb.replace("-", "_"))()
    return 0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a killed `up` cleans up as after Ctrl-C
    arguments = _parser().parse_args()
    try:
        if arguments.verb == "build":
            sys.stdout.write(f"{image.build()}\n")
            return 0
        return _in_lab(MachineLab(arguments.name, subnet=arguments.subnet), arguments)
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130

"""The lab's command line; see lab.py."""

import argparse
import signal
import subprocess
import sys

from tests.lab import rootfs
from tests.lab.lab import Lab
from tests.lab.machine import LabError, state_directory
from tests.lab.packages import SETS

HOST_VERBS = {
    "cut": "pull a host's network cable",
    "heal": "put a host's network cable back",
    "power-off": "pull a host's power: its files stay",
    "power-on": "start a host again, with its files",
    "disks": "give a host disks at /srv/btrfs, /srv/xfs and /srv/small",
}


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", help="which lab (default: lab)")
    common.add_argument("--subnet", help="the /24 of a new lab (default: a free one of 10.77.0.0/16)")
    parser = argparse.ArgumentParser(prog="lab.py", description="Real Linux hosts for tests and demonstrations.")
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, parents=[common])

    build = verb("build", "build a release's root file system")
    build.add_argument("--suite", choices=rootfs.SUITES, default="bookworm")
    build.add_argument("--packages", choices=SETS, default="", help="with this set of packages")
    up = verb("up", "bring up hosts")
    up.add_argument("count", type=int, metavar="N")
    up.add_argument("--first", type=int, default=1, metavar="K", help="the first one's number")
    up.add_argument("--suite", choices=rootfs.SUITES, help="their release (default: bookworm)")
    up.add_argument("--packages", choices=SETS, help="the set of packages they have (default: none)")
    up.add_argument("--disks", action="append", default=[], metavar="HOST", help="give this host disks; repeatable")
    down = verb("down", "end hosts and remove them")
    down.add_argument("--keep", action="store_true", help="keep their files")
    down.add_argument("hosts", nargs="*", metavar="HOST")
    verb("list", "show the hosts (of all labs, without --name)")
    for name, text in HOST_VERBS.items():
        verb(name, text).add_argument("host", metavar="HOST")
    ssh = verb("ssh", "run a command on a host as root, or log in")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD")
    return parser


def _list(lab: Lab) -> None:
    for host in lab.hosts():
        state = "off" if not host.running else "cut" if host.is_cut else "running"
        made_of = f"{host.record.suite:9} {host.record.packages or 'base':9}"
        sys.stdout.write(f"{lab.site.name:10} {host.name:5} {host.address:15} {made_of} {state}\n")


def _list_all() -> None:
    for subnet in sorted(state_directory().glob("labs/*/subnet")):
        _list(Lab(subnet.parent.name))


def _in_lab(lab: Lab, arguments: argparse.Namespace) -> int:
    match arguments.verb:
        case "up":
            kind = {"suite": arguments.suite, "packages": arguments.packages}
            lab.up(arguments.count, first=arguments.first, with_disks=arguments.disks, **kind)
            _list(lab)
        case "down":
            lab.down(arguments.hosts, keep=arguments.keep)
        case "list":
            _list(lab)
        case "ssh":
            return subprocess.run([*lab.host(arguments.host).ssh(), *arguments.words], check=False).returncode
        case "disks":
            lab.add_disks(arguments.host)
        case verb:
            getattr(lab.host(arguments.host), verb.replace("-", "_"))()
    return 0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a killed `up` cleans up as after Ctrl-C
    arguments = _parser().parse_args()
    try:
        if arguments.verb == "build":
            sys.stdout.write(f"{rootfs.build(arguments.suite, arguments.packages)}\n")
        elif arguments.verb == "list" and not arguments.name:
            _list_all()
        else:
            return _in_lab(Lab(arguments.name or "lab", subnet=arguments.subnet), arguments)
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0

"""A 25 GiB image (sparse, 800 MiB of data) from one host to another, over SSH.

That is the plan of a move as a job carries it out: the host key looked at, the key of the transfer let in, all data
sent and compared with its checksums, synced to the disk, the key removed. *The bytes alone* is the part of it that
grows with the image: from the start of ssh until the bytes are on the disk. The peers copy from the same host to the
same disk over the same ssh, and see the bytes on the disk, too:

* `real bytes`: `cat` of a file that holds nothing but the 800 MiB, which is about the least that is possible. The goal
  is 1.2 times that. Both hosts share the processors of one machine here, so whatever either computes, checksums among
  it, takes its time from the cipher.
* `rsync -S`: holes become holes again, and are sent as zeros before that.
* `scp`: holes become zeros.

Each is done several times in turn, and the median counts; rsync and scp are done once, since they take minutes.
"""

from __future__ import annotations

import re
import shlex
import statistics
from collections.abc import Callable
from itertools import count

from bench.figures import Figure
from bench.site import Site, hosts, timed
from datastores.domain.plan import Plan
from datastores.domain.volumes import Format, Volume
from datastores.drivers.registry import make_driver
from datastores.drivers.transfers import over_ssh
from datastores.hosts.ssh_receive import CIPHERS
from datastores.transport.pool import Pool
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import GIB, MIB
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.transfers import route_between

HERE, THERE = "/srv/xfs/here", "/srv/xfs/there"
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a{:04x}"
ALLOWED = 1.2
"""Times what the real bytes take."""


def measure(site: Site) -> list[Figure]:
    virtual, data, times = (GIB, 32 * MIB, 2) if site.quick else (25 * GIB, 800 * MIB, 5)
    with hosts(2, disks=["h1", "h2"]) as lab, Pool() as pool:
        there = Hosts(lab, pool)
        beside = Beside(lab)
        for name, base in (("h1", HERE), ("h2", THERE)):
            lab.host(name).run(["mkdir", base], check=True)
        lab.make_image("h1", f"{HERE}/{UUID.format(0)}.raw", virtual=virtual, data=data)
        lab.host("h1").run(["sh", "-c", f"head -c {data} /dev/urandom > {HERE}/dense && sync"], check=True)
        ours, bytes_alone, bare = [], [], []
        for number in range(1, times + 1):
            bare.append(beside.real_bytes())
            whole, alone = transfer(there, number)
            ours.append(whole)
            bytes_alone.append(alone)
        took, least = statistics.median(ours), statistics.median(bare)
        received = statistics.median(bytes_alone)
        tools = {"rsync -S": beside.rsync, "scp": beside.scp}
        slow = {name: tool(f"{HERE}/{UUID.format(0)}.raw") for name, tool in tools.items()}
    span = f"{times} times, {min(ours):.2f} to {max(ours):.2f} s; {data // MIB} MiB of {virtual // MIB} MiB"
    figures = [
        Figure(name="transfer", value=took, unit="s", goal=ALLOWED * least, remark=span),
        Figure(name="beside real bytes", value=took, unit="s", peer=least, against="real bytes"),
        Figure(name="the bytes alone", value=received, unit="s", goal=ALLOWED * least),
        Figure(name="the bytes alone beside real bytes", value=received, unit="s", peer=least, against="real bytes"),
    ]
    return figures + [
        Figure(name=f"beside {name}", value=took, unit="s", peer=seconds, against=name)
        for name, seconds in slow.items()
        if seconds is not None
    ]


class Listener(Diary):
    """Keeps what the receiving program says."""

    said = ""

    def output(self, index: int, text: str) -> None:
        self.said += text


def transfer(hosts: Hosts, number: int) -> tuple[float, float]:
    """Return the seconds of the whole plan, and of the bytes alone."""
    source = make_driver("xfs", host="h1", base=HERE, hosts=("h1",))
    target = make_driver("xfs", host="h2", base=THERE, hosts=("h2",))
    image = Volume(source.image_path(UUID.format(0), Format.RAW), Format.RAW)
    copy = Volume(target.image_path(UUID.format(number), Format.RAW), Format.RAW)
    journey = over_ssh(source, image, target, copy, route_between(hosts, "h1", "h2"))
    plan: Plan = (*journey.stages, *journey.after)
    listener = Listener()
    took = timed(lambda: hosts.run(plan, diary=listener))
    hosts.lab.host("h2").run(["rm", "--", copy.path], check=True)
    (alone,) = re.findall(r"were received in ([0-9.]+) s", listener.said)
    return took, float(alone)


class Beside:
    """Other ways from h1 to h2, each with the same ssh."""

    def __init__(self, lab: Lab) -> None:
        self.source, self.target = lab.host("h1"), lab.host("h2")
        self.numbers = count()
        self._run(self.target, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/bench")
        public = self._run(self.target, "cat", "/root/bench.pub")
        self.source.run(["sh", "-c", "cat >>/root/.ssh/authorized_keys"], stdin=public, check=True)
        known = f"{self.source.address} {self.source.host_key}\n"
        self.target.run(["sh", "-c", "cat >/root/bench.known"], stdin=known, check=True)

    ssh = ("-F", "none", "-i", "/root/bench", "-o", "UserKnownHostsFile=/root/bench.known", "-c", CIPHERS)

    def real_bytes(self) -> float:
        line = shlex.join(("ssh", *self.ssh, f"root@{self.source.address}", "cat", f"{HERE}/dense"))
        return self._timed(lambda path: f"{line} >{path} && sync {path}")

    def scp(self, path: str) -> float:
        line = shlex.join(("scp", "-q", *self.ssh, f"root@{self.source.address}:{path}"))
        return self._timed(lambda copy: f"{line} {copy} && sync {copy}")

    def rsync(self, path: str) -> float | None:
        """Return the seconds; None where there is no rsync."""
        if any(host.run(["sh", "-c", "command -v rsync"]).returncode for host in (self.source, self.target)):
            return None
        how = ("-e", shlex.join(("ssh", *self.ssh)))
        line = shlex.join(("rsync", "-S", *how, f"root@{self.source.address}:{path}"))
        return self._timed(lambda copy: f"{line} {copy} && sync {copy}")

    def _timed(self, line_of: Callable[[str], str]) -> float:
        path = f"{THERE}/copy.{next(self.numbers)}"
        took = timed(lambda: self._run(self.target, "sh", "-c", line_of(path)))
        self._run(self.target, "rm", "--", path)
        return took

    def _run(self, host: Host, *argv: str) -> str:
        return host.run(argv, check=True, seconds=900).stdout

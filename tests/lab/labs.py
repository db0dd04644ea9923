"""What every lab is: hosts h1, h2... of one name, on one network with the controller (this machine)."""

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from tests.lab import switch
from tests.lab.machine import LabError, directory, locked, state_directory
from tests.lab.networks import network_of
from tests.lab.node import LAST_HOST, Node, make_key
from tests.lab.switch import Site, directory_of

N = TypeVar("N", bound=Node)


class LabOf(Generic[N]):
    """A lab of hosts of one kind."""

    kind: str
    networks: dict[str, str]
    """The networks of the names that have one of their own."""
    node: type[N]

    def __init__(self, name: str, *, subnet: str | None = None) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,9}", name):  # it is part of an interface's name
            raise LabError(f"{name!r}: a lab's name is at most ten lower-case letters and digits.")
        network = network_of(directory_of(self.kind, name), subnet, self.networks)
        self.site = Site(name, network, self.kind)

    @property
    def key(self) -> Path:
        """The private key that may log in as root on every host."""
        return self.site.key

    @property
    def controller(self) -> str:
        """The address at which the hosts reach this machine."""
        return str(self.site.controller)

    def host(self, name: str) -> N:
        if not re.fullmatch(r"h[1-9][0-9]{0,2}", name) or int(name[1:]) > LAST_HOST:
            raise LabError(f"{name!r}: the hosts are h1 to h{LAST_HOST}.")
        host = self.node(self.site, int(name[1:]))
        if not host.exists:
            raise LabError(f"There is no {name} in lab {self.site.name}.")
        return host

    def hosts(self) -> list[N]:
        """All hosts there are, running or not."""
        return [host for host in self._traces() if host.exists]

    def down(self, names: Iterable[str] = (), *, keep: bool = False) -> None:
        """End hosts (all, when none is named) and remove what they had; `keep` keeps their files for the next up."""
        with self.site.locked():
            hosts = [self.host(name) for name in names] or self._traces()
            for host in hosts:  # all at once, then wait for each
                host.kill()
            for host in hosts:
                host.stop() if keep else host.remove()
            self._remove_what_no_host_needs()

    @contextlib.contextmanager
    def taken(self, *, keep: bool = False) -> Iterator[None]:
        """Have the lab for these tests alone, and take it down before and after, unless it is to be kept."""
        try:
            held = contextlib.ExitStack()
            held.enter_context(locked(state_directory() / f"locks/tests-{self.kind}-{self.site.name}", seconds=1))
        except LabError as error:
            raise LabError(f"Other tests are at work in lab {self.site.name}: name another one for these.") from error
        with held:
            if not keep:
                self.down()
            try:
                yield
            finally:
                if not keep:
                    self.down()

    # ---- for each kind's `up`

    def _named(self, count: int, first: int) -> list[N]:
        if count < 1 or first < 1 or first + count - 1 > LAST_HOST:
            raise LabError(f"The hosts are h1 to h{LAST_HOST}.")
        return [self.node(self.site, number) for number in range(first, first + count)]

    def _traces(self) -> list[N]:
        """Hosts of which there is anything: files, or what a lab whose files were lost left in the kernel."""
        paths = [*self.site.directory.glob("hosts/h*"), *self.site.cgroup.glob("h*")]
        paths += switch.NETNS.glob(f"{self.site.prefix}-h*")
        numbers = {int(path.name.rpartition("h")[2]) for path in paths}
        return [self.node(self.site, number) for number in sorted(numbers)]

    def _prepare(self) -> None:
        """Everything the hosts have in common: the key, the directory, the switch."""
        with locked(state_directory() / "locks/key", seconds=30):
            if not self.key.exists():
                make_key(self.key, comment="lab")
        directory(self.site.directory)
        (self.site.directory / "subnet").write_text(f"{self.site.network}\n")
        if not switch.whole(self.site):
            for host in self.hosts():  # what still runs has lost its network for good
                host.stop()
            switch.make(self.site)

    @contextlib.contextmanager
    def _undone_on_failure(self) -> Iterator[list[tuple[N, bool]]]:
        """Hosts that are put in the list are taken back, unless all goes well: also on Ctrl-C."""
        fresh: list[tuple[N, bool]] = []
        try:
            yield fresh
        except BaseException:
            for host, existed in fresh:
                host.stop() if existed else host.remove()
            self._remove_what_no_host_needs()
            raise

    def _write_known_hosts(self) -> None:
        lines = [f"{host.name},{host.address} {host.host_key}\n" for host in self.hosts()]
        self.site.known_hosts.write_text("".join(lines))

    def _remove_what_no_host_needs(self) -> None:
        if not any(host.running for host in self.hosts()):
            switch.remove(self.site)
            with contextlib.suppress(FileNotFoundError):
                self.site.cgroup.rmdir()
        if not self.hosts():
            shutil.rmtree(self.site.directory, ignore_errors=True)

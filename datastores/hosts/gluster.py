"""What GlusterFS says of itself: peers, volumes, bricks, tasks. Commands and their parsers.

With ``--xml`` the exit status says nothing: after a failure it is 1 for some commands and 0 for others, only ``opRet``
tells (10.3). So reads have it, and are checked here; commands that change something do not, and exit with 1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.gluster import Brick, Layout, parse_brick
from datastores.domain.plan import Command, Output, read

DEADLINE = 30.0
SECONDS = 150.0
"""The CLI waits 120 s for the pool before it gives up."""
IN_CLUSTER = "3"
"""State of a peer that is in the pool on both sides ("Peer in Cluster")."""
REJECTED = "6"
NO_DAEMON = "Connection failed. Please check if gluster daemon is operational"
NOT_STARTED = "30800"
"""``opErrno`` of glusterd for a state that does not fit the question; its text says which."""

POOL = read("gluster", "--mode=script", "--xml", "pool", "list", root=True, timeout=DEADLINE)
VOLUMES = read("gluster", "--mode=script", "--xml", "volume", "info", root=True, timeout=DEADLINE)
"""Of all volumes: one that is not among them is not there, whereas a question for one may fail for other reasons."""


def ask(*words: str) -> Command:
    """Return the read ``gluster volume <words>``."""
    return read("gluster", "--mode=script", "--xml", "volume", *words, root=True, timeout=DEADLINE)


def not_running(output: Output) -> bool:
    """Tell whether nobody answered because gluster, or a tool, is not installed, or glusterd does not run."""
    return not_installed(output) or (not output.ok and NO_DAEMON in f"{output.stdout}{output.stderr}")


def not_installed(output: Output) -> bool:
    """Tell whether there is no such program: where gluster is not, neither is a pool nor a volume."""
    return output.exit_status == 127 or (not output.ok and output.stderr.rstrip().endswith("command not found"))


def tell(*words: str) -> Command:
    """Return the command ``gluster <words>``, which asks nothing back."""
    return Command(("gluster", "--mode=script", *words), timeout=SECONDS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What ``--xml`` gives. ``why``: of a question that was not answered; "" when it was."""

    tree: Element
    why: str = ""
    code: str = "0"


def heard(host: str, command: Command, output: Output) -> Answer:
    """Return the answer to a read, or why there is none.

    :raises CommandFailed: glusterd does not run ("Connection failed"), or what it said is no answer.
    """
    text = output.raw.decode("utf-8", "surrogateescape")
    if not output.ok and not text.startswith("<?xml"):
        raise CommandFailed(command.argv, output.exit_status, output.stderr or output.stdout, host)
    if "<!" in text:  # no answer has a document type; entities in one could grow without end
        raise CommandFailed(command.argv, 0, "unreadable output: it declares something", host)
    try:
        tree = ElementTree.fromstring(text.encode("utf-8", "surrogateescape"))  # noqa: S314
    except ElementTree.ParseError as error:
        raise CommandFailed(command.argv, 0, f"unreadable output: {error}", host) from error
    if tree.tag != "cliOutput" or tree.find("opRet") is None:
        raise CommandFailed(command.argv, 0, f"unreadable output: {text[:200]!r}", host)
    if inner(tree, "opRet") == "0":
        return Answer(tree)
    why = inner(tree, "opErrstr") or inner(tree, "output") or "no reason given"
    return Answer(tree, why, inner(tree, "opErrno"))


def answered(host: str, command: Command, output: Output) -> Element:
    """Return what was asked for.

    :raises CommandFailed: it was not told.
    """
    answer = heard(host, command, output)
    if answer.why:
        raise CommandFailed(command.argv, output.exit_status, answer.why, host)
    return answer.tree


def inner(element: Element, name: str) -> str:
    """Return the text of a part; "" when it is empty or not there."""
    return (element.findtext(name) or "").strip()


def number(element: Element, name: str) -> int:
    """Return the number in a part; 0 when there is none (a brick that does not answer says "-")."""
    text = inner(element, name)
    return int(text) if text.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Peer:
    """One host of the pool. ``names``: all that it is known by; ``ours``: it is the one that was asked."""

    uuid: str
    names: tuple[str, ...]
    connected: bool
    state: str = IN_CLUSTER
    state_text: str = ""
    ours: bool = False


def pool(host: str, output: Output, *, coming: bool = False) -> tuple[Peer, ...]:
    """Return the peers of the pool that ``POOL`` lists, the one that was asked among them.

    ``coming``: an earlier step installs and starts glusterd; as long as it does not run, there is no pool.

    :raises CommandFailed: it was not told.
    """
    if coming and not_running(output):
        return ()
    return peers_of(answered(host, POOL, output))


def peers_of(tree: Element) -> tuple[Peer, ...]:
    """Return the peers that a list of the pool names."""
    return tuple(_peer(each) for each in tree.iter("peer"))


def _peer(element: Element) -> Peer:
    name = inner(element, "hostname")
    others = tuple(each.text or "" for each in element.findall("hostnames/hostname"))
    return Peer(
        inner(element, "uuid"), tuple(dict.fromkeys((name, *others))), inner(element, "connected") == "1",
        inner(element, "state") or IN_CLUSTER, inner(element, "stateStr"), ours=name == "localhost",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class VolumeInfo:
    """A volume as it is set up. ``options``: those that were set, defaults are not among them."""

    name: str
    uuid: str
    status: str
    layout: Layout
    bricks: tuple[Brick, ...]
    brick_hosts: tuple[str, ...]
    """The uuid of each brick's peer."""
    options: dict[str, str] = field(default_factory=dict)

    @property
    def started(self) -> bool:
        return self.status == "Started"

    @property
    def kind(self) -> str:
        return self.layout.name(len(self.bricks))

    def has_any(self, bricks: Collection[Brick]) -> bool:
        """Tell whether it is the volume that is meant: it has one of these bricks, or none was named."""
        return not bricks or not set(self.bricks).isdisjoint(bricks)


def volumes(host: str, output: Output, *, coming: bool = False) -> dict[str, VolumeInfo]:
    """Return the volumes of the pool that ``VOLUMES`` lists, by name. ``coming``: as for ``pool``.

    :raises CommandFailed: they were not told.
    """
    if coming and not_running(output):
        return {}
    found = (_volume(each) for each in answered(host, VOLUMES, output).iterfind("volInfo/volumes/volume"))
    return {volume.name: volume for volume in found}


def _volume(element: Element) -> VolumeInfo:
    bricks = element.findall("bricks/brick")
    options = {inner(each, "name"): inner(each, "value") for each in element.findall("options/option")}
    return VolumeInfo(
        inner(element, "name"), inner(element, "id"), inner(element, "statusStr"), _layout(element),
        tuple(parse_brick(inner(each, "name")) for each in bricks),
        tuple(inner(each, "hostUuid") for each in bricks), options,
    )  # fmt: skip


def _layout(element: Element) -> Layout:
    kind = inner(element, "typeStr")
    if "Stripe" in kind or "Tier" in kind:
        return Layout(obsolete=kind)
    fragments = number(element, "disperseCount")
    copies = 1 if fragments else max(1, number(element, "replicaCount"))
    return Layout(copies, number(element, "arbiterCount"), fragments, number(element, "redundancyCount"))


def the_volume(host: str, found: dict[str, VolumeInfo], name: str) -> VolumeInfo:
    """Return the volume of that name. Raises Refused when there is none."""
    if name not in found:
        others = ", ".join(found) or "none at all"
        raise Refused(f"The pool of {host} has no volume {name} (it has: {others}). Make it first.")
    return found[name]


@dataclass(frozen=True, slots=True)
class BrickState:
    """Whether the process of a brick answers."""

    brick: Brick
    online: bool


@dataclass(frozen=True, slots=True)
class Task:
    """What goes on with a volume's bricks. ``kind``: "Rebalance" or "Remove brick"; ``state``: a word of gluster's."""

    kind: str
    id: str
    state: str
    bricks: tuple[Brick, ...] = ()

    @property
    def goes_on(self) -> bool:
        return self.state in {"in progress", "fix-layout in progress", "not started"}


@dataclass(frozen=True, slots=True)
class Status:
    """What runs for a volume. Bricks of a peer that is off are not among them."""

    bricks: tuple[BrickState, ...] = ()
    tasks: tuple[Task, ...] = ()


def status(host: str, command: Command, output: Output) -> Status | None:
    """Return what ``volume status`` says of a volume; None when it is not started, or not there.

    :raises CommandFailed: it could not be told.
    """
    answer = heard(host, command, output)
    if answer.why:
        if answer.why.endswith(("is not started", "does not exist")):
            return None
        raise CommandFailed(command.argv, output.exit_status, answer.why, host)
    nodes = answer.tree.iter("node")
    bricks = tuple(
        BrickState(Brick(inner(node, "hostname"), inner(node, "path")), inner(node, "status") == "1")
        for node in nodes
        if inner(node, "path").startswith("/")  # else it is a daemon: it has its host there
    )
    return Status(bricks, tuple(_task(each) for each in answer.tree.iter("task")))


def _task(element: Element) -> Task:
    bricks = tuple(parse_brick(each.text or "") for each in element.iterfind("params/brick"))
    return Task(inner(element, "type"), inner(element, "id"), inner(element, "statusStr"), bricks)


def listed(bricks: Sequence[Brick]) -> str:
    return ", ".join(map(str, bricks))

"""What rules of alerts are held against: plain facts of datastores, hosts, workers, queues and jobs."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.domain.states import ObjectState


@dataclass(frozen=True, slots=True)
class DatastoreFacts:
    """Bytes; ``days_to_full``: at the pace of late, None when that is not known.

    ``measured_at``: when it was measured last or, before that, made (Unix time); ``age``: seconds since then.
    ``expected``: it should be measured, because nobody took it or its storage host out of use. ``error``: why it could
    not be.
    """

    pk: int
    name: str
    total: int = 0
    used: int = 0
    free: int = 0
    promised: int = 0
    inodes: int = 0
    inodes_used: int = 0
    days_to_full: float | None = None
    age: float = 0.0
    measured_at: float = 0.0
    expected: bool = True
    error: str = ""
    state: str = ObjectState.READY.value
    problems: tuple[str, ...] = ()
    """What is wrong with what it is made of, in sentences, the worst first."""


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """What a datastore has on a host that has a file system of its own for it; bytes."""

    datastore: int
    host: int
    datastore_name: str
    host_name: str
    total: int
    used: int
    free: int


@dataclass(frozen=True, slots=True)
class SightFacts:
    """A datastore that a host has to see, and does not. ``text``: why not."""

    datastore: int
    host: int
    datastore_name: str
    host_name: str
    text: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """``clock_skew``: seconds, positive when its clock is ahead; None: not known."""

    pk: int
    name: str
    state: str
    error: str = ""
    maintenance: bool = False
    clock_skew: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A process. ``name``: as its jobs show it; ``queues``: one name for each thread and queue, in order.

    ``silent_seconds``: since it was heard of last; ``age_seconds``: since it was started, where that is known.
    """

    name: str
    host: str
    queues: tuple[str, ...]
    silent_seconds: float
    age_seconds: float = float("inf")

    @property
    def words(self) -> str:
        return ", ".join(sorted(set(self.queues)))

    def takes_place_of(self, lost: WorkerFacts) -> bool:
        """Tell whether it was started in its stead. Of one that is lost, queues are forgotten thread by thread."""
        serves = self.host == lost.host and set(self.queues) >= set(lost.queues)
        return serves and self.age_seconds < lost.silent_seconds


@dataclass(frozen=True, slots=True)
class QueueFacts:
    name: str
    depth: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job that is interrupted. ``seconds``: since it was heard of last."""

    uuid: str
    title: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the rules look at. ``workers`` and ``queues``: None when Redis does not answer.

    ``late``: by the name of a duty of the schedule, how many seconds ago it was due. One that is being done is not
    late. ``told``: rules and subjects of the alerts that were open before any of this was read.
    """

    datastores: tuple[DatastoreFacts, ...] = ()
    hosts: tuple[HostFacts, ...] = ()
    workers: tuple[WorkerFacts, ...] | None = ()
    queues: tuple[QueueFacts, ...] | None = ()
    late: tuple[tuple[str, float], ...] = ()
    jobs: tuple[JobFacts, ...] = ()
    unseen: tuple[SightFacts, ...] = ()
    rooms: tuple[RoomFacts, ...] = ()
    told: frozenset[tuple[str, str]] = frozenset()

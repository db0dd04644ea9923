"""The log of a job: number, redact, store, then ring. A browser never sees an unsaved line."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import Error, connection, transaction
from django.utils import timezone

from datastores.domain.plan import Action, Output
from datastores.domain.states import EventKind, Level, StepState
from datastores.hosts.journal import Undoable
from datastores.jobs import codec
from datastores.jobs.log_entries import Batch, Entry, blocks, describe, with_lines_cut
from datastores.jobs.log_storing import TakenOver, flush_all
from datastores.models import Job, JobEvent
from datastores.transport.quoting import shell_line

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 0.05
AGAIN_SECONDS = 1.0
"""After a flush that failed."""
BLOCK_CHARACTERS = 512 * 1024
PENDING_CHARACTERS = 4 * 1024 * 1024


@dataclass(slots=True)
class JobLog:
    """Recorder of one attempt of a job. Safe to use from many threads; see ``hosts.journal.Recorder``."""

    job: Job
    hosts: list[str] = field(default_factory=list)
    """Host of each step."""
    titles: list[str] = field(default_factory=list)
    """Title of each step."""
    secrets: tuple[str, ...] = ()
    on_news: Callable[[Sequence[str]], object] = lambda hosts: None
    """Told of the host that does not answer meanwhile, or answers again."""
    seq: int = 0
    line: int = 1
    """The number of the next line."""
    _among_others: dict[tuple[int, int], str] = field(default_factory=dict)
    """What is done of a step that needs more than one action."""
    _entries: list[Entry] = field(default_factory=list)
    _steps: dict[int, dict[str, Any]] = field(default_factory=dict)
    _characters: int = 0
    _unsure: list[Batch] = field(default_factory=list)
    """Given to the database, which has not said that it keeps them: the transaction failed, or is not over."""
    _lock: threading.RLock = field(default_factory=threading.RLock)
    store: threading.Lock = field(default_factory=threading.Lock)
    _owner: threading.Thread = field(default_factory=threading.current_thread)
    _ticker: threading.Thread | None = None
    _closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.job.attempts > 1:  # a first attempt finds nothing
            self.go_on()

    def go_on(self) -> None:
        """Number what is added now after what is stored."""
        last = JobEvent.objects.filter(job=self.job).order_by("-seq").values("seq", "first_line", "lines").first()
        if last:
            self.seq, self.line = last["seq"], last["first_line"] + last["lines"]

    # What the runner tells

    @contextlib.contextmanager
    def lane(self, host: str) -> Iterator[None]:
        try:
            yield
        finally:
            if threading.current_thread() is not self._owner:
                connection.close()

    def facts(self, host: str, reads: int, seconds: float) -> None:
        what = "1 statement" if reads == 1 else f"{reads} statements"
        self.add(EventKind.FACTS, f"read {what} in one round trip, {seconds * 1000:.0f} ms", host=host)

    def step(self, index: int, state: StepState, message: str = "") -> None:
        fields: dict[str, Any] = {"state": state, "message": self.clean(message)}
        fields["started_at" if state is StepState.RUNNING else "ended_at"] = timezone.now()
        fields["silent_since"] = None
        level, text = {
            StepState.RUNNING: (Level.INFO, message),
            StepState.UNCHANGED: (Level.INFO, self._of_step("already so", index)),
            StepState.CHANGED: (Level.GOOD, self._of_step("verified", index)),
            StepState.FAILED: (Level.ERROR, message),
        }.get(state, (Level.WARNING, message or str(state)))
        with self._lock:
            self._steps.setdefault(index, {}).update(fields)
            self.add(EventKind.STEP, text, level=level, step=index)

    def _of_step(self, words: str, index: int) -> str:
        """Return what is told of a step, and of which."""
        return f"{words}: {self.titles[index]}" if index < len(self.titles) else words

    def actions_started(self, index: int, first: int, actions: Sequence[Action], unit: str = "") -> None:
        self.note_actions(index, first, actions, unit)
        self.flush()

    def note_actions(self, index: int, first: int, actions: Sequence[Action], unit: str = "") -> None:
        """Add the actions to the journal; they may be carried out when the next flush is over."""
        for number, action in enumerate(actions, first):
            data = {"action": number, **codec.encode_action(action), "unit": unit}
            if len(actions) > 1:
                self._among_others[index, number] = describe(action).partition("\n")[0].removeprefix("$ ")
            self.add(EventKind.ACTION_STARTED, describe(action), level=Level.COMMAND, step=index, data=data)

    def action_ended(self, index: int, number: int, output: Output | None, error: str = "") -> None:
        data, command = {"action": number}, self._among_others.pop((index, number), "")
        if error:
            self.add(EventKind.ACTION_FAILED, error, level=Level.ERROR, step=index, data=data)
        else:
            text = f"done: {command}" if command else self._of_step("done", index)
            self.add(EventKind.ACTION_DONE, text, step=index, data=data)

    def output(self, index: int, text: str) -> None:
        text = text.removesuffix("\n")
        with self._lock:
            last = self._entries[-1] if self._entries else None
            joins = last is not None and last.kind is EventKind.OUTPUT and last.step == index
            if joins and len(last.text) + len(text) < BLOCK_CHARACTERS:
                last.text = f"{last.text}\n{text}"
            else:
                self._entries.append(Entry(EventKind.OUTPUT, text, step=index))
            self._characters += len(text)
            full = self._characters > PENDING_CHARACTERS
            self._start_ticker()
        if full:
            self.flush()  # back-pressure: the reader of the remote command waits here

    def progress(self, index: int, done: int, total: int) -> None:
        with self._lock:
            self._steps.setdefault(index, {}).update(bytes_done=done, bytes_total=total)
            self._start_ticker()

    def news(self, index: int, text: str, answers: bool) -> None:
        with self._lock:
            self._steps.setdefault(index, {})["silent_since"] = None if answers else timezone.now()
            self.add(EventKind.STEP, text, level=Level.WARNING, step=index)
            self._start_ticker()
        self.on_news(self.hosts[index : index + 1])

    def undo(self, entry: Undoable, error: str = "", kept: str = "") -> None:
        is_left = bool(error) or (entry.undo is None and not entry.harmless)
        data = None if is_left else {"action": entry.number}  # what is left stays in the journal of the next attempt
        if error:
            state, text, level = StepState.FAILED, f"undo failed: {error}", Level.ERROR
        elif kept:
            state, text, level = StepState.KEPT, f"kept: {kept}", Level.WARNING
        elif entry.undo is None:
            state, text, level = StepState.KEPT, "cannot be undone, kept", Level.WARNING
        else:
            state, text, level = StepState.UNDONE, f"undone: {shell_line(entry.undo.argv)}", Level.GOOD
        with self._lock:
            self._steps.setdefault(entry.index, {})["state"] = state
            self.add(EventKind.UNDO, text, level=level, step=entry.index, data=data)

    # Keeping it

    def add(
        self, kind: EventKind, text: str, *, level: Level = Level.INFO, step: int | None = None, data: Any = None,
        host: str = "",
    ) -> None:  # fmt: skip
        """Append an entry; it is stored with the next flush."""
        with self._lock:
            self._entries.append(Entry(kind, text, level, step, data, host=host))

    def flush(self) -> None:
        """Store everything added so far, in order, then ring. What cannot be stored is stored by the next flush.

        So is what was stored in a transaction of the caller's that is rolled back.

        :raises TakenOver: nothing was stored. :raises django.db.Error: nothing was stored, as far as is known.
        """
        flush_all([self])

    def _take(self) -> Batch:
        with self._lock:
            batch = Batch(self._entries, self._steps, self._characters, self.seq, self.line)
            self._entries, self._steps, self._characters = [], {}, 0
        return batch

    def begin(self) -> Batch | None:
        """Take what has to be stored now; None: there is nothing. ``store`` is held."""
        self._settle()
        batch = self._take()
        if not batch.entries and not batch.steps:
            return None
        self._unsure.append(batch)
        return batch

    def end(self) -> None:
        """The database has the batch, or will have it when the caller's transaction is committed."""
        if not connection.in_atomic_block:
            self._unsure.clear()
        else:
            transaction.on_commit(self._committed)

    def count(self, batch: Batch) -> None:
        """Let the batch count as waiting again, once: the reader of a command waits while that is too much."""
        with self._lock:
            self._characters, batch.characters = self._characters + batch.characters, 0

    def forget(self) -> None:
        """Drop what was added and is not stored: the attempt tells it anew."""
        with self.store:
            self._settle()
            self._take()

    def _committed(self) -> None:
        """The caller's transaction is."""
        with self.store:
            self._unsure.clear()

    def _settle(self) -> None:
        """Take back what the database did not keep, the newest first; even a commit that failed may have been one."""
        while self._unsure and not self._is_stored(self._unsure[-1]):
            batch = self._unsure.pop()
            with self._lock:
                self._entries = batch.entries + self._entries
                newer, self._steps = self._steps, batch.steps
                for index, fields in newer.items():
                    self._steps.setdefault(index, {}).update(fields)
                self.count(batch)
                self.seq, self.line = batch.seq, batch.line
        if not connection.in_atomic_block:
            self._unsure.clear()

    def _is_stored(self, batch: Batch) -> bool:
        """Tell whether the batch's entries are there; the fields of steps alone may be stored twice."""
        return bool(batch.entries) and JobEvent.objects.filter(job=self.job, seq=batch.seq + 1).exists()

    def rest(self) -> None:
        """Store everything; nothing more is stored by itself."""
        self.stop_ticker()
        self.flush()

    def stop_ticker(self) -> None:
        """To be called outside of a transaction: the ticker may be waiting for the database."""
        self._closed.set()
        if self._ticker:
            self._ticker.join()

    def events(self, batch: Batch) -> Iterator[JobEvent]:
        """Number the entries of the batch, and yield what is stored of them."""
        for entry in batch.entries:
            yield from self._number(entry)

    def _number(self, entry: Entry) -> Iterator[JobEvent]:
        host = self.hosts[entry.step] if entry.step is not None and entry.step < len(self.hosts) else entry.host
        for text in blocks(self.clean(entry.text)):
            self.seq += 1
            event = JobEvent(
                job=self.job, seq=self.seq, at=entry.at, kind=entry.kind, level=entry.level, step=entry.step,
                host=host, first_line=self.line, lines=text.count("\n") + 1, text=text, data=entry.data,
            )  # fmt: skip
            self.line += event.lines
            yield event

    def clean(self, text: str) -> str:
        """Take out secrets and what a database or a browser cannot hold."""
        for secret in self.secrets:
            text = text.replace(secret, "(secret)")
        text = text.encode("utf-8", "backslashreplace").decode()  # names of files may be no text
        text = text.replace("\x00", "\ufffd").replace("\r\n", "\n").rstrip("\n")
        return with_lines_cut(text)

    def _start_ticker(self) -> None:
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, name=f"log-{self.job.pk}", daemon=True)
            self._ticker.start()

    def _tick(self) -> None:
        pause = FLUSH_SECONDS
        with contextlib.suppress(TakenOver):  # whoever does the work is told by the next flush of its own
            while not self._closed.wait(pause):
                pause = FLUSH_SECONDS if self._try_flush() else AGAIN_SECONDS
        connection.close()

    def _try_flush(self) -> bool:
        """Flush; False: the database could not, and the next time may be better."""
        try:
            self.flush()
        except Error:
            logger.warning("the log of job %s waits for the database", self.job.uuid, exc_info=True)
            connection.close()
            return False
        return True

"""What the rules find, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datastores.domain.alert_facts import (
    DatastoreFacts,
    Facts,
    HostFacts,
    JobFacts,
    QueueFacts,
    SightFacts,
    WorkerFacts,
)
from datastores.domain.alert_rules import DAY, RULES, Severity
from datastores.domain.alerts import findings, is_gone, known_subjects, missed, not_known, percent, span
from datastores.domain.states import HostState

TIB = 1 << 40
STORE = DatastoreFacts(3, "gold", total=100 * TIB, used=10 * TIB, free=90 * TIB)
HOST = HostFacts(7, "kvm-7", HostState.READY, clock_skew=0.01)
WORKER = WorkerFacts("abcdef", "m1", ("interactive", "provision"), 4.0)
QUEUES = (QueueFacts("interactive", 0, 0.0), QueueFacts("provision", 2, 30.0))


def rules_of(**facts: object) -> list[str]:
    return [finding.rule.name for finding in findings(Facts(**({"workers": (WORKER,), "queues": QUEUES} | facts)))]  # type: ignore[arg-type]


def of_store(**changes: object) -> list[str]:
    return rules_of(datastores=(replace(STORE, **changes),))  # type: ignore[arg-type]


def test_nothing_is_wrong_with_a_cloud_that_is_well_or_empty() -> None:
    assert rules_of(datastores=(STORE,), hosts=(HOST,)) == []
    assert findings(Facts()) == []


@pytest.mark.parametrize(
    ("used", "expected"),
    [(79, []), (80, ["datastore_filling"]), (89, ["datastore_filling"]), (90, ["datastore_full"]),
     (100, ["datastore_full"])],
)  # fmt: skip
def test_a_datastore_fills_up_and_only_the_worst_is_told(used: int, expected: list[str]) -> None:
    assert of_store(used=used * TIB, free=(100 - used) * TIB) == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [(None, []), (14.0, []), (13.9, ["datastore_full_soon"]), (3.0, ["datastore_full_soon"]),
     (2.9, ["datastore_full_very_soon"]), (0.0, ["datastore_full_very_soon"])],
)  # fmt: skip
def test_days_until_it_is_full(days: float | None, expected: list[str]) -> None:
    assert of_store(days_to_full=days) == expected


def test_more_may_be_promised_than_there_is_left_and_that_is_told() -> None:
    assert of_store(promised=90 * TIB) == []
    assert of_store(promised=90 * TIB + 1) == ["datastore_overcommitted"]


def test_inodes_run_out_where_there_are_such() -> None:
    assert of_store(inodes=0, inodes_used=0) == []
    assert of_store(inodes=1000, inodes_used=899) == []
    assert of_store(inodes=1000, inodes_used=900) == ["datastore_inodes"]


def test_a_datastore_that_cannot_be_measured_or_was_not_for_long() -> None:
    assert of_store(error="It could not be measured: stale.") == ["datastore_not_measured"]
    assert of_store(age=901.0) == ["datastore_not_measured"]
    assert of_store(age=901.0, expected=False) == []


def test_a_datastore_that_was_never_measured_is_not_full() -> None:
    assert of_store(total=0, used=0, free=0, promised=TIB) == []


def test_hosts() -> None:
    assert rules_of(hosts=(replace(HOST, state=HostState.UNREACHABLE),)) == ["host_unreachable"]
    assert rules_of(hosts=(replace(HOST, state=HostState.UNREACHABLE, maintenance=True),)) == []
    assert rules_of(hosts=(replace(HOST, state=HostState.QUARANTINED, maintenance=True),)) == ["host_quarantined"]
    assert rules_of(hosts=(replace(HOST, state=HostState.NEW, clock_skew=None),)) == []


@pytest.mark.parametrize(("skew", "words"), [(-2.5, "2.5 s behind ours"), (90.0, "90.0 s ahead of ours")])
def test_a_clock_that_is_wrong(skew: float, words: str) -> None:
    [finding] = findings(Facts(hosts=(replace(HOST, clock_skew=skew),)))
    assert finding.rule.name == "clock_skew" and words in finding.text


def test_a_queue_needs_a_worker_that_is_heard_of() -> None:
    lost = replace(WORKER, silent_seconds=91.0)
    assert rules_of(workers=(lost,)) == ["worker_lost", "queue_without_worker", "queue_without_worker"]
    assert rules_of(workers=(lost, replace(WORKER, name="other"))) == ["worker_lost"]
    assert rules_of(workers=()) == ["queue_without_worker", "queue_without_worker"]


def test_a_queue_that_does_not_move_but_copies_take_long() -> None:
    worker = replace(WORKER, queues=("provision", "transfer"))
    waits = tuple(QueueFacts(name, 5, 1000.0) for name in ("provision", "transfer"))
    assert rules_of(workers=(worker,), queues=waits) == ["queue_stuck"]


def test_while_redis_is_away_nothing_is_known_of_workers() -> None:
    facts = Facts(workers=None, queues=None)
    assert [finding.rule.name for finding in findings(facts)] == ["queues_unreachable"]
    assert not_known(facts) == {"worker_lost", "queue_without_worker", "queue_stuck"}
    assert not_known(Facts()) == frozenset()


def test_the_schedule_and_interrupted_jobs() -> None:
    assert rules_of(late=(("measure_datastores", 601.0), ("reconcile", 20.0))) == ["duty_late"]
    assert rules_of(jobs=(JobFacts("u1", "Copy", 1801.0), JobFacts("u2", "Copy", 5.0))) == ["job_interrupted"]


def test_what_was_deleted_is_gone_and_a_queue_never_is() -> None:
    known = known_subjects(Facts(datastores=(STORE,), hosts=(HOST,)))
    assert not is_gone("datastore:3", known) and not is_gone("host:7", known) and not is_gone("queue:x", known)
    assert is_gone("datastore:33", known) and is_gone("host:70", known)


def test_every_rule_says_what_to_do_and_holds_on_for_as_long_as_it_takes_to_be_sure() -> None:
    for name, rule in RULES.items():
        assert name == rule.name and rule.advice.endswith(".") and not rule.summary.endswith(".")
        assert rule.severity in Severity and rule.hold >= 0 and rule.clear >= 0


def test_words() -> None:
    assert [span(seconds) for seconds in (0, 119, 120, 7199, 7200, 2 * DAY)] == [
        "0 s", "119 s", "2 min", "120 min", "2 h", "2 days",
    ]  # fmt: skip
    assert (percent(0.8), percent(0.899), percent(0.29), percent(1.0)) == ("80 %", "89 %", "29 %", "100 %")


def test_a_host_that_does_not_see_a_datastore_is_named_with_it() -> None:
    [found] = findings(Facts(unseen=(SightFacts(3, 7, "gold", "kvm-7", "It is stale."),)))
    assert (found.rule.name, found.label, found.text) == ("stale_mount", "gold on kvm-7", "It is stale.")
    known = known_subjects(Facts(datastores=(STORE,), hosts=(HOST,)))
    assert not is_gone(found.subject, known)
    assert is_gone(found.subject, known_subjects(Facts(datastores=(STORE,))))
    assert is_gone(found.subject, known_subjects(Facts(hosts=(HOST,))))


class TestLostWorkers:
    """One that fell silent is told of until another has its place, and for some minutes in any case."""

    LOST = replace(WORKER, silent_seconds=3600.0)

    def missed(self, *workers: WorkerFacts) -> list[str]:
        return [worker.name for worker in missed(workers)]

    def test_one_whose_place_nobody_took_is_told_of_however_long_ago_it_was(self) -> None:
        older = replace(WORKER, name="older", silent_seconds=5.0, age_seconds=7200.0)
        elsewhere = replace(WORKER, name="elsewhere", host="m2", age_seconds=60.0)
        other = replace(WORKER, name="other", queues=("transfer",), age_seconds=60.0)
        assert self.missed(self.LOST, older, elsewhere, other) == ["abcdef"]
        assert self.missed(replace(self.LOST, silent_seconds=1e7)) == ["abcdef"]

    def test_one_that_was_started_there_since_takes_its_place(self) -> None:
        assert self.missed(self.LOST, replace(WORKER, name="new", age_seconds=3500.0)) == []

    def test_it_stays_taken_when_queues_of_the_lost_one_are_forgotten_thread_by_thread(self) -> None:
        fewer = replace(self.LOST, queues=("interactive",))
        assert self.missed(fewer, replace(WORKER, name="new", age_seconds=3500.0)) == []

    def test_each_takes_the_place_of_one(self) -> None:
        new = replace(WORKER, name="new", age_seconds=60.0)
        assert len(self.missed(self.LOST, replace(self.LOST, name="too"), new)) == 1
        assert self.missed(self.LOST, replace(self.LOST, name="too"), new, replace(new, name="newer")) == []

    def test_one_that_is_killed_again_and_again_does_not_go_unnoticed(self) -> None:
        lately = replace(WORKER, silent_seconds=300.0)
        assert self.missed(lately, replace(WORKER, name="new", age_seconds=250.0)) == ["abcdef"]

    def test_the_alert_holds_what_is_to_be_known_of_it_later(self) -> None:
        [found] = [each for each in findings(Facts(workers=(self.LOST,))) if each.rule.name == "worker_lost"]
        assert found.detail == {"host": "m1", "queues": ["interactive", "provision"]}

    def test_the_alert_names_it_as_its_jobs_do_and_says_what_becomes_of_them(self) -> None:
        lost = replace(self.LOST, name="m1:4711:b73427b6", queues=("provision", "transfer", "transfer"))
        [found] = [each for each in findings(Facts(workers=(lost,))) if each.rule.name == "worker_lost"]
        assert (found.subject, found.label) == ("worker:m1:4711:b73427b6", "m1:4711:b73427b6")
        assert "worked on provision, transfer. Its jobs are handed to another worker." in found.text
        assert "log/workers.log" in found.rule.advice


def test_a_volume_that_is_not_well_says_what_is_worst() -> None:
    worst, other = "h2:/srv/brick is offline.", "3 entries wait to be healed."
    [found] = findings(Facts(datastores=(replace(STORE, problems=(worst, other)),)))
    assert (found.rule.name, found.label, found.text) == ("volume_unwell", STORE.name, f"{worst} And 1 more.")
    assert not list(findings(Facts(datastores=(replace(STORE, problems=()),))))

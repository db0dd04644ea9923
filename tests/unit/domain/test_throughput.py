"""What fio and dd say, as figures; and which kind of storage meets which needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datastores.domain.characters import Candidate, Character, Need, judged
from datastores.domain.throughput import MIB, Figures, of_dd, of_fio

CASE = Path(__file__).parents[1] / "hosts/cases/throughput.ThroughputKnown/present-fio.json"
DD = """\
800+0 records in
800+0 records out
104857600 bytes (105 MB, 100 MiB) copied, 0.5 s, 210 MB/s
800+0 records in
800+0 records out
104857600 bytes (105 MB, 100 MiB) copied, 2.5e-02 s, 4.2 GB/s
"""


def fio() -> str:
    """What fio 3.33 said on a real host."""
    said: str = "\n".join(json.loads(CASE.read_text())["reads"][0][2][1:])
    return said


def test_fio_tells_rates_operations_and_latencies() -> None:
    found = of_fio(fio(), direct=True, size=64 * MIB)
    jobs = {job["jobname"]: job for job in json.loads(fio())["jobs"]}
    assert found.tool == "fio-3.33"
    assert found.write_rate == jobs["write"]["write"]["bw_bytes"]
    assert found.read_iops == jobs["randread"]["read"]["iops"]
    nanoseconds = jobs["randwrite"]["write"]["clat_ns"]["percentile"]["99.000000"]
    assert found.write_p99 == nanoseconds / 1000


def test_what_fio_complains_of_first_does_no_harm() -> None:
    warned = f"fio: this platform does not support process shared mutexes\n{fio()}"
    assert of_fio(warned, direct=True, size=1) == of_fio(fio(), direct=True, size=1)


@pytest.mark.parametrize("said", ["", "{}", '{"jobs": []}', '{"jobs": [1]}', "fio: engine libaio not loadable"])
def test_what_is_no_answer_of_fio_is_none(said: str) -> None:
    with pytest.raises(ValueError, match=r"fio|substring"):
        of_fio(said, direct=True, size=1)


def test_dd_tells_rates_alone() -> None:
    assert of_dd(DD, direct=False, size=100 * MIB) == Figures("dd", False, 100 * MIB, 209715200, 4194304000)


@pytest.mark.parametrize("said", ["", DD[: len(DD) // 2], DD.replace("104857600 bytes", "0 bytes"), DD + DD])
def test_what_is_no_answer_of_two_runs_of_dd_is_none(said: str) -> None:
    with pytest.raises(ValueError, match="dd did not say"):
        of_dd(said, direct=True, size=1)


LOCAL = Candidate("local", 0, 2, Character(parts=1))
NETWORK = Candidate("network", 2, 2, Character(parts=2))
CLUSTER = Candidate("cluster", 2, 0, Character(parts=4, survives=True))
UNSAID = Candidate("unsaid", 0, 0, Character())
ALL = [LOCAL, NETWORK, CLUSTER, UNSAID]


def order(*needs: Need) -> list[str]:
    return [verdict.kind for verdict in judged(ALL, list(needs))]


def test_kinds_are_ordered_by_what_is_needed() -> None:
    assert order() == ["local", "network", "cluster", "unsaid"]
    assert order(Need.LIVE_MIGRATION) == ["network", "cluster", "local", "unsaid"]
    assert order(Need.NO_SINGLE_POINT)[0] == "cluster"
    assert order(Need.FEWEST_PARTS) == ["local", "network", "cluster", "unsaid"]
    assert order(Need.LIVE_MIGRATION, Need.INSTANT_CLONES)[0] == "network"


def test_each_need_has_its_reason() -> None:
    [found, *_] = judged([CLUSTER], [Need.INSTANT_CLONES, Need.NO_SINGLE_POINT])
    assert found.reasons == ((False, "every disk is a full copy"), (True, "survives the loss of a machine"))

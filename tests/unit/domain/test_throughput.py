"""What fio and dd say, as figures; and which kind of storage meets which needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datastores.domain.characters import Candidate, Character, Need, judged
from datastores.domain.throughput import MIB, Figures, of_bench, of_dd, of_fio

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


BENCH = """\
Sending 64 write requests, 1048576 bytes each, 4 in parallel (starting at offset 0, step size 1048576)
Sending flush every 64 requests
Run completed in 0.020 seconds.
Sending 64 read requests, 1048576 bytes each, 4 in parallel (starting at offset 0, step size 1048576)
Run completed in 0.077 seconds.
Sending 256 write requests, 4096 bytes each, 16 in parallel (starting at offset 0, step size 1052672)
Sending flush every 256 requests
Run completed in 0.007 seconds.
Sending 256 read requests, 4096 bytes each, 16 in parallel (starting at offset 0, step size 1052672)
Run completed in 0.000 seconds.
"""
"""As qemu-img 7.2.22 says it."""


def test_qemu_img_tells_of_large_blocks_and_of_small_ones() -> None:
    found = of_bench(BENCH, direct=True, size=64 * MIB)
    rates = round(64 * MIB / 0.020), round(64 * MIB / 0.077)
    assert found == Figures("qemu-img bench", True, 64 * MIB, *rates, 256 / 0.007, 256 / 0.0005)
    assert found.write_p50 is None


@pytest.mark.parametrize("said", ["", BENCH.partition("Sending 256 read")[0], BENCH + BENCH])
def test_what_is_no_answer_of_four_runs_is_none(said: str) -> None:
    with pytest.raises(ValueError, match="did not say what was expected"):
        of_bench(said, direct=True, size=1)

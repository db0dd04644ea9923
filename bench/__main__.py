"""``python -m bench [names]``: measure, write bench/results.json and docs/benchmarks.md, and say it here."""

from __future__ import annotations

import argparse
import signal
import sys

from bench.alone import Alone
from bench.figures import Figure, describe_machine, store, table
from bench.site import Site, installation

LIMITS = {
    "clone": 900, "burst": 600, "log": 600, "viewers": 900, "role": 1800, "idle": 240, "lists": 1500, "open_lists": 300,
    "transfer": 1500, "rbd": 900, "machines": 1800,
}  # fmt: skip
"""Every benchmark, with the seconds it may take."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"only these of: {', '.join(LIMITS)}")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works; nothing is written")
    options = parser.parse_args()
    if unknown := set(options.names) - LIMITS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(LIMITS)}")
    # a shell that starts us in the background has it ignored, also for all that we start and stop by it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed = [name for name in options.names or LIMITS if not run(name, quick=options.quick)]
    if failed:
        print(f"Without a figure: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


def run(name: str, *, quick: bool) -> bool:
    """Run one benchmark on an installation of its own, and keep its figures at once."""
    machine = describe_machine()
    print(f"\n{name}: {machine}", flush=True)
    try:
        figures = measure(name, quick=quick)
    except (RuntimeError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return False
    print(table(figures), flush=True)
    if not quick:
        store(name, figures, on=machine, order=list(LIMITS))
    return True


def measure(name: str, *, quick: bool) -> list[Figure]:
    """Return the figures of one benchmark. Raises RuntimeError or TimeoutError when there are none."""
    with installation() as stack:
        site = Site(stack.url, stack.data, quick)
        figures: list[Figure] = Alone(stack.env, f"bench.{name}", "measure", site).result(LIMITS[name])
        return figures


if __name__ == "__main__":
    sys.exit(main())

"""How often the tests of saebrain find something where there is nothing: false-positive rates at .05 on real resting-state BOLD.

    python -m benchmarks.calibration [--json] [--n 400] [--only encoding topography] [--seed 0]

Simulates ``n`` small studies for each group of tests (benchmarks/null_studies.py). ``rate_05`` is the share of p <= .05, averaged over
studies, ``se`` its standard error from the scatter between studies. Wanted: at most .07, and not under .03 unless ``discrete``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.null_studies import DRAWS, EXPERIMENTS, RUNS, Noise
from saebrain.progress import Report, bar, silent

DISCRETE = {"hypergeometric", "topography, hypergeometric"}
CONTRAST = "not: "


def calibrate(names: list[str], n: int, *, seed: int = 0, report: Report = silent) -> dict[str, dict[str, dict[str, object]]]:
    """Rates of the tests and, under ``contrasts``, of shortcuts that saebrain does not take."""
    noise = Noise.load()
    found: dict[str, list[float]] = {}
    for number in range(n):
        for done, name in enumerate(names):
            place = list(EXPERIMENTS).index(name)  # so that each group has the same studies whichever others run
            for test, rate in EXPERIMENTS[name](np.random.default_rng([seed, number, place]), noise).items():
                found.setdefault(test, []).append(rate)
            report(number * len(names) + done + 1, n * len(names))
    tests = {test: _summary(test, rates) for test, rates in found.items() if not test.startswith(CONTRAST)}
    contrasts = {test.removeprefix(CONTRAST): _summary(test, rates) for test, rates in found.items() if test.startswith(CONTRAST)}
    return {"tests": tests, "contrasts": contrasts}


def _summary(test: str, rates: list[float]) -> dict[str, object]:
    summary: dict[str, object] = {
        "n": len(rates),
        "rate_05": round(float(np.mean(rates)), 4),
        "se": round(float(np.std(rates)) / len(rates) ** 0.5, 4),
    }
    return summary | ({"discrete": True} if test in DISCRETE else {})


def main() -> None:
    parser = argparse.ArgumentParser(description="False-positive rates of saebrain's tests on real resting-state BOLD.")
    parser.add_argument("--n", type=int, default=400, help="simulated studies a test (400)")
    parser.add_argument("--only", nargs="+", choices=list(EXPERIMENTS), default=list(EXPERIMENTS), help="groups of tests to run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else on standard output")
    parser.add_argument("--out", type=Path, help="write the JSON to this file too")
    options = parser.parse_args()
    with bar("calibration", "studies") as report:
        result = calibrate(options.only, options.n, seed=options.seed, report=report)
    result_json = json.dumps({**result, "settings": {"n": options.n, "seed": options.seed, "draws": DRAWS, "run_lengths": RUNS}}, indent=2)
    if options.out:
        options.out.write_text(result_json + "\n", encoding="utf-8")
    if options.json:
        print(result_json)
        return
    for title, group in result.items():
        print(f"{title}: false positives at .05")
        for test, row in group.items():
            print(f"  {test:<52} {row['rate_05']:.3f} ± {row['se']:.3f}  ({row['n']} studies{', discrete' if 'discrete' in row else ''})")


if __name__ == "__main__":
    main()

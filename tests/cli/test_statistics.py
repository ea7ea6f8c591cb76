"""`encode --select`, `topography`, `partition`, `prediction-error` and `layers` on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from saebrain import __main__
from saebrain.pipeline import topography
from saebrain.pipeline.contributions import Contributions
from saebrain.pipeline.parcelwise import predicted_by
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.selection import subcategories
from saebrain.pipeline.spun import grid
from tests.studies import copy_study

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line as `python -m saebrain` does, in this process: exit code, standard output, standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["saebrain", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            __main__.main()
        captured = capsys.readouterr()
        code = stopped.value.code
        return code if isinstance(code, int) else 0, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def study(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_study(demo_study, tmp_path_factory.mktemp("studies") / "study")


def strict(text: str) -> Any:
    """JSON without NaN and Infinity, which are none."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_encode_gives_its_statistics(run: Run, study: Path) -> None:
    code, out, _ = run("encode", study, "--select", "semantic/quantity", "--n", "5", "--json")
    assert code == 0
    found = strict(out)
    assert {"r", "r_all", "fraction_of_peak", "ceiling", "matched", "subjects", "by_subject", "selections", "permutation", "group"} <= found.keys()
    assert {"n", "p", "d"} <= found["matched"].keys() and found["matched"]["n"] == 5
    assert found["subjects"] == list(found["by_subject"])
    assert found["r"] == pytest.approx(found["selections"]["semantic/quantity"]["r"], abs=1e-5)
    code, out, _ = run("encode", study, "--select", "semantic/quantity", "--n", "5")
    text = " ".join(out.split())
    assert code == 0 and "│ semantic/quantity │" in text and "matched sets p = " in text and "no p can be below 0.125" in text


def test_encode_without_statistics_gives_what_it_gave(run: Run, study: Path) -> None:
    code, out, _ = run("encode", study, "--select", "semantic/place", "--no-statistics", "--json")
    assert code == 0 and set(strict(out)) == {"study", "simulated", "subjects", "selections"}


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("semantic/plaice", "did you mean 'semantic/place'"),
        ("", "empty selection; name features"),
        ("density>2", "no feature is in it; loosen the filter"),
        ("features:{silent}", "none of its 1 feature(s) is active in the stimulus"),
        ("features:99999", "this SAE has features 0 to 4095"),
    ],
)
def test_selections_that_are_none(run: Run, study: Path, monkeypatch: pytest.MonkeyPatch, selection: str, message: str) -> None:
    if "{silent}" in selection:  # every feature of the demo is active: take one's activity away
        monkeypatch.setattr("saebrain.pipeline.stimulus.Stimulus.courses", lambda self, features, unit: np.zeros((1956, len(features)), np.float32))
        selection = selection.format(silent=17)
    code, out, err = run("encode", study, "--select", selection, "--json")
    assert (code, out) == (1, "")
    lines = [line for line in err.splitlines() if line.startswith("saebrain: ")]
    assert len(lines) == 1 and message in lines[0] and err.splitlines()[-1] == lines[0]


def test_topography(run: Run, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made_up(problem: Problem, where: np.ndarray, report: object) -> Contributions:
        rng = np.random.default_rng(0)
        paths, labels = subcategories(problem.codebook), problem.atlas.labels[grid()]
        maps = np.stack([0.1 * (predicted_by(problem, path)[labels] & (labels >= 0)) for path in paths])
        return Contributions(problem.measured.subjects, paths, {}, maps + 0.02 * rng.normal(size=(3, *maps.shape)))

    monkeypatch.setattr(topography, "unique_contributions", made_up)
    code, out, _ = run("topography", study, "--n", "199", "--json")
    found = strict(out)
    assert code == 0 and {"rho", "p_spin", "p_parcel", "p_hypergeom", "observed", "predicted"} <= found.keys()
    assert found["rho"] == pytest.approx(found["rho_max"], abs=0.01) and found["p_spin"] <= 0.02
    code, out, _ = run("topography", study, "--n", "199")
    assert code == 0 and "rho 0.74 of at most 0.74" in out and "semantic/social" in out


def test_layers(run: Run, study: Path) -> None:
    code, out, _ = run("layers", study, "--json")
    found = strict(out)
    assert code == 0 and 15 in [row["layer"] for row in found["layers"]]
    code, out, _ = run("layers", study)
    assert code == 0 and all(f"--layer {row['layer']}" in out for row in found["missing"])


@pytest.mark.parametrize("verb", ["topography", "partition", "prediction-error", "layers"])
def test_missing_study_and_layer(run: Run, study: Path, tmp_path: Path, verb: str) -> None:
    code, out, err = run(verb, tmp_path / "nowhere", "--json")
    assert (code, out) == (1, "") and "python -m saebrain demo" in err.splitlines()[-1]
    if verb != "layers":
        code, out, err = run(verb, study, "--layer", "7")
        assert (code, out) == (1, "") and "layer 7: this study has the layers 5, 15, 25" in err.splitlines()[-1]

"""Left-out predictions in both ways, against ridge regression refitted without the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from saebrain.encoding import holdout
from saebrain.encoding.holdout import Direct, FromWhole, LeaveOut, cheaper, leave_out
from saebrain.encoding.layout import Layout
from saebrain.errors import InputError
from tests.encoding.problems import DELAYS, UNEQUAL, Problem, ridge_losses, ridge_predictions

LAYOUTS = {
    "3 runs": Layout.by_run(UNEQUAL),
    "7 runs": Layout.by_run([15, 18, 13, 20, 16, 14, 17]),
    "blocks of one run": Layout.contiguous([113], 5, gap=4),
    "blocks of two runs": Layout.contiguous([61, 52], 6, gap=4),
}
ALPHAS = [0.3, 30.0]


def problem_of(layout: Layout, n_features: int = 40) -> Problem:
    """Runs of a problem are what is centred together: the layout's segments."""
    return Problem.make(n_features, lengths=[segment.stop - segment.start for segment in layout.segments])


def way(
    kind: type[LeaveOut],
    problem: Problem,
    layout: Layout,
    *,
    n_targets: int = 8,
    keep: bool = False,
    thin: bool = True,
    dtype: torch.dtype = torch.float32,
) -> LeaveOut:
    features, nuisance = (X @ X.T for X in problem.designs()) if dtype == torch.float64 else problem.kernels()
    rest = nuisance if thin else None
    return kind(features + nuisance, [features], layout.folds, n_targets=n_targets, rest=rest, keep=keep, device="cpu", dtype=dtype)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("kind", [Direct, FromWhole])
@pytest.mark.parametrize("n_targets", [8, 1000], ids=["few targets", "many targets"])
@pytest.mark.parametrize("thin", [True, False], ids=["from the parts", "at once"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-4), (torch.float64, 1e-9)])
def test_losses_and_predictions_equal_refitted_ridge(
    kind: type[LeaveOut], name: str, n_targets: int, thin: bool, dtype: torch.dtype, tolerance: float
) -> None:
    layout = LAYOUTS[name]
    problem = problem_of(layout)
    features, nuisance = problem.designs()
    X, y = np.hstack([features, nuisance]), torch.from_numpy(problem.y).to(dtype)
    found = way(kind, problem, layout, n_targets=n_targets, thin=thin, dtype=dtype)
    for row, alpha in enumerate(ALPHAS):
        expected = np.stack([ridge_losses(X, problem.y, layout.folds, held, ALPHAS)[row] for held in range(len(layout.folds))])
        np.testing.assert_allclose(found.losses(alpha)(y).numpy(), expected, rtol=tolerance)
        for number, fold in enumerate(layout.folds):
            whole, part = ridge_predictions(X, problem.y, fold, np.full(8, alpha), features.shape[1])
            prediction = found.predictor(number, alpha)(y).numpy()
            np.testing.assert_allclose(prediction[0], whole, atol=tolerance)
            np.testing.assert_allclose(prediction[1], part, atol=tolerance)


@pytest.mark.parametrize("kind", [Direct, FromWhole])
def test_what_is_kept_serves_further_targets(kind: type[LeaveOut], monkeypatch: pytest.MonkeyPatch) -> None:
    layout = LAYOUTS["7 runs"]
    problem = problem_of(layout)
    kept, fresh = way(kind, problem, layout, keep=True), way(kind, problem, layout)
    first, second = torch.from_numpy(problem.y), torch.from_numpy(problem.y[:, ::-1].copy())
    kept.losses(3.0)(first), kept.predictor(2, 3.0)(first)
    expected = fresh.losses(3.0)(second), fresh.predictor(2, 3.0)(second)

    def refuse(*arguments: object) -> None:
        raise AssertionError("decomposed again")

    monkeypatch.setattr(LeaveOut, "_cholesky", refuse)
    monkeypatch.setattr(holdout, "_inverse", refuse)
    torch.testing.assert_close(kept.losses(3.0)(second), expected[0])
    torch.testing.assert_close(kept.predictor(2, 3.0)(second), expected[1])
    with pytest.raises(AssertionError):
        fresh.predictor(3, 4.0)


@pytest.mark.parametrize(("kind", "room"), [(Direct, True), (Direct, False), (FromWhole, True), (FromWhole, False)])
def test_pairs_are_decomposed_once_for_several_calls_if_there_is_room(kind: type[LeaveOut], room: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = LAYOUTS["7 runs"]
    problem = problem_of(layout)
    first, second = torch.from_numpy(problem.y), torch.from_numpy(problem.y[:, ::-1].copy())
    made, make = [], kind._pair

    def noted(self: LeaveOut, f: int, v: int, alpha: float) -> holdout.Smoother:
        made.append((f, v))
        return make(self, f, v, alpha)

    monkeypatch.setattr(kind, "_pair", noted)
    if not room:
        monkeypatch.setattr(holdout, "KEPT_BYTES", 0)
    losses = way(kind, problem, layout).losses(3.0, several=True)
    torch.testing.assert_close(losses(first), losses(second).flip(1))
    assert len(made) == (1 if room else 2) * 21 and len(set(made)) == 21
    torch.testing.assert_close(way(kind, problem, layout).losses(3.0)(first), losses(first))


def test_inverses_that_do_not_fit_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = LAYOUTS["7 runs"]
    problem = problem_of(layout)
    y = torch.from_numpy(problem.y)
    generous = way(FromWhole, problem, layout)
    monkeypatch.setattr(holdout, "KEPT_BYTES", 0)
    strict = way(FromWhole, problem, layout)
    for alpha in [*ALPHAS, *ALPHAS]:
        torch.testing.assert_close(strict.losses(alpha)(y), generous.losses(alpha)(y))


@pytest.mark.parametrize(
    ("n_out", "n_targets", "expected"),
    [
        ([652] * 3, 204, Direct),
        ([652] * 3, 60_000, Direct),
        ([313] * 9, 204, FromWhole),
        ([313] * 9, 20_000, FromWhole),
        ([100] * 20, 1000, FromWhole),
    ],
)
def test_few_long_runs_directly_and_many_from_the_whole(n_out: Sequence[int], n_targets: int, expected: type[LeaveOut]) -> None:
    assert cheaper(n_out, sum(n_out), n_targets) is expected


def test_small_alphas_are_worked_on_in_double_precision() -> None:
    """A rank-deficient kernel, and an alpha of a millionth of its norm."""
    layout = LAYOUTS["3 runs"]
    problem = problem_of(layout, n_features=3)
    X = np.hstack(problem.designs())
    alpha = 1e-6 * float(np.linalg.norm(X @ X.T))
    whole, part = ridge_predictions(X, problem.y, layout.folds[0], np.full(8, alpha), 3 * len(DELAYS.delays))
    for kind in (Direct, FromWhole):
        for n_targets in (8, 1000):
            found = way(kind, problem, layout, n_targets=n_targets).predictor(0, alpha)(torch.from_numpy(problem.y)).numpy()
            np.testing.assert_allclose(found, [whole, part], atol=3e-2)  # the kernel itself is in single precision


def test_alpha_that_the_kernels_precision_does_not_carry_is_refused() -> None:
    layout = LAYOUTS["3 runs"]
    problem = problem_of(layout)
    found = leave_out(problem.kernels()[0], [], layout.folds, n_targets=8, device="cpu")
    for act in (lambda: found.losses(1e-9), lambda: found.predictor(0, 1e-9)):
        with pytest.raises(InputError, match=r"alpha 1e-09: too small for a kernel of norm .*; ask for .* or more"):
            act()

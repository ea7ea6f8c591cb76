"""The training loop: batches in, a SAE out; stopped and resumed without a trace in the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.errors import InputError
from saebrain.progress import Report, silent
from saebrain.sae.base import SAE
from saebrain.sae.training.centre import geometric_median, spread
from saebrain.sae.training.checkpoint import CHECKPOINT, Checkpoints, Snapshot
from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.gradients import Batch, Gradients
from saebrain.sae.training.log import LogRow
from saebrain.sae.training.objectives import objective
from saebrain.sae.training.schedule import learning_rate, sparsity
from saebrain.sae.training.state import State

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@runtime_checkable
class Resumable(Protocol):
    """Batches that can say where they are and start there, rather than be read again from the start."""

    def __iter__(self) -> Iterator[Tensor]: ...

    def position(self) -> dict[str, int]:
        """Of the batch that comes next."""

    def start_at(self, position: dict[str, int]) -> None:
        """Let the next iteration begin there."""


class Training:
    """A SAE in training, step by step; :func:`train` runs one to its end.

    Parameters
    ----------
    sample : tensor
        A few thousand hidden states, for the geometric median, the scale and the first thresholds.
    """

    def __init__(self, sample: Float[Tensor, "sample d_in"], config: TrainConfig, device: torch.device | str = "cpu") -> None:
        self.config, self.device = config, torch.device(device)
        sample = sample.to(self.device).float()
        self.centre = geometric_median(sample)
        self.scale = spread(sample, self.centre)
        self.objective = objective(config)
        self.state = State.start(sample.shape[1], config).to(self.device)
        self.objective.begin(self.state, (sample - self.centre) / self.scale)
        self.gradients = Gradients(self.state, self.objective, config)
        self.optimizer = torch.optim.Adam(self.state.weights.values(), betas=(0.9, 0.999), eps=1e-8, fused=True)
        self.steps = self.tokens = 0

    @torch.no_grad()
    def step(self, x: Float[Tensor, "tokens d_in"]) -> Batch:
        """Learn from one batch of hidden states."""
        x = x.to(self.device).float().sub(self.centre).div_(self.scale)
        batch = self.gradients(x, sparsity(self.steps, self.config))
        weights = list(self.state.weights.values())
        torch.nn.utils.clip_grad_norm_(weights, self.config.max_gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.steps, self.config)
        self.optimizer.step()
        if self.config.decoder == "unit":
            W_dec = self.state.W_dec
            W_dec.div_(W_dec.norm(dim=1, keepdim=True).clamp_min_(1e-12))
        self.steps += 1
        self.tokens += len(x)
        return batch

    @property
    def dead_fraction(self) -> float:
        """Share of features idle for ``dead_after`` tokens."""
        return float((self.state.idle >= self.config.dead_after).float().mean())

    def finish(self) -> SAE:
        """The SAE as it is now, on the CPU, in the units of the hidden states and with decoder rows of unit norm.

        The scale is folded in: with x = scale y + centre, b_enc and thresholds become scale times larger, b_dec becomes
        scale b_dec + centre; and so is each row's norm |w|: W_dec / |w|, W_enc |w|, b_enc |w|.
        """
        state = self.state.to(torch.device("cpu"))
        centre = self.centre.cpu()
        norms = state.W_dec.norm(dim=1)
        weights: dict[str, Any] = {
            "W_enc": (state.W_enc * norms[:, None]).T.contiguous(),
            "b_enc": state.b_enc * norms * self.scale,
            "W_dec": state.W_dec / norms[:, None],
            "b_dec": state.b_dec * self.scale + centre,
            "metadata": {"training": asdict(self.config), "training_tokens": self.tokens, "training_scale": self.scale},
        }
        return self.objective.finish(weights, state, self.scale, norms)

    def snapshot(self) -> Snapshot:
        """All that the next step depends on, but for the data."""
        tensors = {**vars(self.state), "centre": self.centre}
        for name, weight in self.state.weights.items():
            tensors |= {f"adam.{name}.{moment}": self.optimizer.state[weight][moment] for moment in MOMENTS}
        return Snapshot(tensors, {"steps": self.steps, "tokens": self.tokens, "scale": self.scale})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        tensors = {name: tensor.to(self.device) for name, tensor in snapshot.tensors.items()}
        self.centre, self.scale = tensors["centre"], snapshot.progress["scale"]
        self.steps, self.tokens = snapshot.progress["steps"], snapshot.progress["tokens"]
        for name, tensor in vars(self.state).items():
            tensor.copy_(tensors[name])
        for name, weight in self.state.weights.items():
            self.optimizer.state[weight] = {moment: tensors[f"adam.{name}.{moment}"] for moment in MOMENTS}


@dataclass
class _Clock:
    """Time spent training, over all sittings of a run."""

    before: float = 0.0

    def __post_init__(self) -> None:
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started


def train(
    batches: Iterable[Float[Tensor, "tokens d_in"]],
    sample: Float[Tensor, "sample d_in"],
    config: TrainConfig,
    *,
    device: torch.device | str = "cpu",
    log: Callable[[LogRow], None] = lambda row: None,
    log_every: int = 50,
    report: Report = silent,
    checkpoints: Checkpoints | None = None,
) -> SAE:
    """Train a SAE.

    Parameters
    ----------
    batches : iterable of tensors
        Shuffled hidden states, at least ``config.steps`` batches. To resume, they have to come in the same order again;
        unless they are :class:`Resumable`, those that were used are read and passed over.
    sample : tensor
        A few thousand hidden states, for the geometric median and the scale.
    log, log_every
        Called with what is measured at every ``log_every``-th step and at the last.
    checkpoints : Checkpoints, optional
        Where the run's state is kept, and from where it goes on if there is any. The file is left: remove it once the
        result is safe.

    Returns
    -------
    SAE
        In the units of the hidden states (the scale used in training is folded back), decoder rows of unit norm.

    Raises
    ------
    InputError
        If the loss is no longer finite, or a checkpoint cannot be read or belongs to another run.
    """
    training = Training(sample, config, device)
    clock = _Clock()
    if checkpoints and (snapshot := checkpoints.load()):
        training.restore(snapshot)
        clock = _Clock(snapshot.progress["seconds"])
        batches = _from(batches, snapshot)
    before = (training.tokens, clock.seconds)
    for x in islice(batches, config.steps - training.steps):
        batch = training.step(x)
        last = training.steps == config.steps
        if last or (training.steps - 1) % log_every == 0:
            now = (training.tokens, clock.seconds)
            log(_row(training, batch, before, now))
            before = now
        if checkpoints and (last or checkpoints.due(training.steps)):
            checkpoints.save(_with_place(training.snapshot(), batches, clock))
        report(training.steps, config.steps)
    return training.finish()


def _row(training: Training, batch: Batch, before: tuple[int, float], now: tuple[int, float]) -> LogRow:
    """Of the last step; ``before`` and ``now`` are tokens and seconds at the row before and at this one."""
    figures = batch.figures()
    if not math.isfinite(figures["loss"]):
        raise InputError(
            f"training diverged before step {training.steps}: the loss is {figures['loss']}; lower the learning rate ({training.config.rate:.3g}), "
            f"look for infinite hidden states, and remove the {CHECKPOINT} of this run, if any"
        )
    return LogRow(
        step=training.steps - 1,
        tokens=training.tokens,
        **figures,
        dead_fraction=training.dead_fraction,
        learning_rate=learning_rate(training.steps - 1, training.config),
        tokens_per_s=(now[0] - before[0]) / max(now[1] - before[1], 1e-9),
        seconds=now[1],
    )


def _with_place(snapshot: Snapshot, batches: Any, clock: _Clock) -> Snapshot:
    position = batches.position() if isinstance(batches, Resumable) else None
    return Snapshot(snapshot.tensors, {**snapshot.progress, "position": position, "seconds": clock.seconds})


def _from(batches: Any, snapshot: Snapshot) -> Iterable[Tensor]:
    """The batches after those that a snapshot has seen."""
    if isinstance(batches, Resumable):
        batches.start_at(snapshot.progress["position"])
        return batches
    rest: Iterator[Tensor] = islice(batches, snapshot.progress["steps"], None)
    return rest

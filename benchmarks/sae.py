"""How fast SAEs are trained, and how good they are after the same tokens: ours against those of other libraries.

    python -m benchmarks.sae [--json] [--n-features 4096 16384] [--k 32] [--tokens 400000] [--device auto] [--shards FOLDER]

All train a TopK SAE on the same batches of the same hidden states, a step each in turn, so that whatever else the machine
does meanwhile slows all of them alike; which one goes first changes from step to step. Speed is batch size over the
median time of a step, the first few left out. FVU is sum |x - x_hat|^2 / sum |x - mean x|^2 over hidden states of
documents that none of them has seen. Results are also written to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.hidden_states import HiddenStates, hidden_states
from benchmarks.sae_trainers import Ours, Setting, Trainer, peers
from saebrain.atomic import write_json
from saebrain.models import resolve_device
from saebrain.progress import bar

RESULTS = Path(__file__).parent / "results"
WARM = 5
"""Steps that are not timed."""


@dataclass(frozen=True)
class Measured:
    """Of one trainer."""

    tokens_per_s: float
    fvu: float


def compare(states: HiddenStates, setting: Setting) -> dict[str, Any]:
    """Train all in turn on the same batches."""
    trainers: dict[str, Trainer] = {"ours": Ours(setting, states.sample)}
    trainers |= {name: make(setting, states.sample) for name, make in peers(setting.device).items()}
    times: dict[str, list[float]] = {name: [] for name in trainers}
    with bar(f"{setting.n_features:,} features", "steps") as report:
        for step, x in enumerate(states.batches(setting.steps, setting.batch)):
            x = x.to(setting.device)
            order = list(trainers)
            for name in order[step % len(order) :] + order[: step % len(order)]:
                began = _now(setting.device)
                trainers[name].step(x)
                times[name].append(_now(setting.device) - began)
            report(step + 1, setting.steps)
    found = {
        name: Measured(setting.batch / statistics.median(times[name][WARM:]), fvu(trainer, states.held_out.to(setting.device)))
        for name, trainer in trainers.items()
    }
    ours = found.pop("ours")
    return {
        "speedup": ours.tokens_per_s / max(peer.tokens_per_s for peer in found.values()),
        "ours": asdict(ours),
        "peers": {name: asdict(peer) for name, peer in found.items()},
        "d_in": setting.d_in,
        "n_features": setting.n_features,
        "k": setting.k,
        "device": device_name(setting.device),
    }


def fvu(trainer: Trainer, x: Float[Tensor, "tokens d_in"]) -> float:
    """Fraction of variance unexplained, over all rows at once."""
    error = sum(float((part - trainer.reconstruct(part)).double().square().sum()) for part in x.split(4096))
    return error / float((x - x.mean(0)).double().square().sum())


def device_name(device: str) -> str:
    """For people."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    model = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    return f"{model or platform.machine()}, {torch.get_num_threads()} threads"


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).is_file() else []


def _now(device: str) -> float:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _print(found: list[dict[str, Any]]) -> None:
    for result in found:
        table = Table("trainer", "tokens/s", "held-out FVU", title=f"{result['n_features']:,} features, k = {result['k']}, {result['device']}")
        for name, row in {"ours": result["ours"], **result["peers"]}.items():
            table.add_row(name, f"{row['tokens_per_s']:,.0f}", f"{row['fvu']:.4f}")
        Console().print(table, f"{result['speedup']:.2f} times the fastest peer")


def main() -> None:
    """Compare at every width, print, and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sae", description="Train SAEs with saebrain and with other libraries.")
    parser.add_argument("--n-features", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=400_000, help="tokens that each one learns from")
    parser.add_argument("--batch", type=int, default=2048, help="tokens a step")
    parser.add_argument("--learning-rate", type=float, help="for all; each one's default if left out")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="of torch on a CPU")
    parser.add_argument("--shards", type=Path, help="folder of activation shards; the demo model reads the demo's stories if left out")
    parser.add_argument("--layer", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = str(resolve_device(given.device))
    states = hidden_states(given.shards, given.layer, given.tokens)
    steps = max(2 * WARM, given.tokens // given.batch)
    found = [
        compare(states, Setting(states.d_in, n_features, given.k, steps, given.batch, device, learning_rate=given.learning_rate))
        for n_features in given.n_features
    ]
    for result in found:
        name = "".join(letter if letter.isalnum() else "-" for letter in result["device"].lower())
        write_json(RESULTS / f"sae_{result['n_features']}_{name}.json", result | {"tokens": steps * given.batch, "states": states.source})
    if given.json:
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    else:
        _print(found)


if __name__ == "__main__":
    main()

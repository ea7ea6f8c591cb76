"""Whether a SAE works where it is used: a verdict from its figures and its maker's claims, and, if not, what would make it work.

A SAE of the wrong layer, in the wrong scale or of another architecture gives codes without complaint, and they mean nothing.
It shows in the figures. Of a SAE that works, FVU is well below 0.6 and close to what its makers measured, a token has far
fewer active features than the hidden state has dimensions, no other layer is reconstructed better than its own, and the
model runs on its reconstruction at a small loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from saebrain.sae import diagnosis
from saebrain.sae.base import SAE
from saebrain.sae.batches import NORM_LIMIT
from saebrain.sae.diagnosis import Variant
from saebrain.sae.quality import CrossEntropy, Quality

Status = Literal["ok", "doubtful", "mismatch"]
SEVERITY: dict[Status, int] = {"ok": 0, "doubtful": 1, "mismatch": 2}

FVU_DOUBTFUL, FVU_MISMATCH = 0.4, 0.6
"""Of a SAE without claims. Published ones explain 60 to 95% of the variance."""
L0_DOUBTFUL, L0_MISMATCH = 0.25, 0.5
"""Active features a token, as a share of the hidden state's dimensions."""
CE_DOUBTFUL, CE_MISMATCH = 0.9, 0.7
"""Cross-entropy recovered. Zeros cost so much that even a shuffled decoder recovers half."""
DEAD_DOUBTFUL, EXPECTED_USES = 0.5, 20
"""Share of dead features, once a feature of mean density would have been active at so many tokens."""
LEFT_OUT_DOUBTFUL = 0.1
LAYER_BETTER, READING_BETTER = 0.95, 0.8
"""FVU of another layer, or of another scale or reading, as a share of what it is now, from which that one is the right one."""
NEARLY_AS_GOOD = 1.15
"""FVU of two remedies, one as a multiple of the other, up to which both are told."""
AS_CLAIMED = 1.1
MASSIVE_APART = 1.5
ALIGNED = 0.05
"""Mean cosine of encoder and decoder below which they do not belong together."""
_DIAGNOSES: dict[diagnosis.Kind, str] = {
    "layer": "This is the wrong layer.",
    "scale": "This is the wrong scale of the input.",
    "centring": "The input is centred wrongly.",
    "architecture": "The weights are read as another architecture than theirs.",
}
NOT_RESIDUAL = ("mlp", "attn", "hook_z")


@dataclass(frozen=True)
class Finding:
    """One reason of a verdict, as a sentence, and how far it alone decides."""

    status: Status
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What a check says.

    reasons : sentences, the gravest first; of a SAE that works, one that gives its figures.
    remedies : sentences, each a change with which the SAE would work.
    ce : None if the model was not run on reconstructions.
    """

    status: Status
    reasons: list[str]
    remedies: list[str]
    quality: Quality
    ce: CrossEntropy | None

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return " ".join([*self.reasons, *self.remedies])


def check(
    sae: SAE,
    quality: Quality,
    states: Mapping[int, Float[Tensor, "tokens d_in"]],
    layer: int,
    *,
    ce: CrossEntropy | None = None,
    left_out: float = 0.0,
    further: Callable[[], Mapping[int, Float[Tensor, "tokens d_in"]]] = dict,
) -> Verdict:
    """Judge a SAE by its figures; if they are bad, find out what would make it work.

    Parameters
    ----------
    quality : Quality
        Measured at ``layer``, as the SAE will be used.
    states : mapping
        Hidden states of a sample of tokens, a thousand or so, by layer: at least ``layer``, better its neighbours too.
    left_out : float
        Share of the tokens that ``quality`` leaves out for their norm.
    further : callable
        Gives those of other layers; called only if something is wrong that none of ``states`` explains.
    """
    sample = {number: _ordinary(x) for number, x in states.items()}
    here = diagnosis.at_layer(sae, sample[layer], layer)
    layers = diagnosis.other_layers(sae, sample, layer)
    findings = _massive(sae, quality, here, states[layer], left_out)
    findings += judge(sae, replace(quality, fvu=here.fvu) if findings else quality, ce, left_out)
    remedies = _remedies(sae, here, layers, [])
    if remedies and quality.fvu <= AS_CLAIMED * claims(sae.metadata).get("fvu", 0.0):
        findings.append(Finding("doubtful", "FVU is what its makers give, but another layer is reconstructed better."))
    elif remedies or findings:
        remedies = _search(sae, sample, layer, here, layers, further)
        if remedies:
            findings.append(Finding("mismatch", _DIAGNOSES[remedies[0].kind]))
        elif any(finding.status == "mismatch" for finding in findings):
            findings.append(Finding("mismatch", _unexplained(sae, other_layers=bool(layers))))
    if not findings:
        return Verdict("ok", [_figures(sae, quality, ce)], [], quality, ce)
    findings.sort(key=lambda finding: -SEVERITY[finding.status])
    told = [f"It works {remedy.what}: FVU {remedy.fvu:.2f} instead of {here.fvu:.2f} on a sample." for remedy in remedies]
    return Verdict(findings[0].status, [finding.sentence for finding in findings], told, quality, ce)


def judge(sae: SAE, quality: Quality, ce: CrossEntropy | None = None, left_out: float = 0.0) -> list[Finding]:
    """What is wrong with the figures; empty if nothing is."""
    claimed = claims(sae.metadata)
    found = [_fvu(quality.fvu, claimed.get("fvu")), _l0(quality.l0, claimed.get("l0"), sae.d_in), _dead(quality), _ce(ce), _hook(sae.metadata)]
    if left_out > LEFT_OUT_DOUBTFUL:
        found.append(Finding("doubtful", f"{left_out:.0%} of the tokens have a norm above the SAE's limit (max_norm) and are left out."))
    return [finding for finding in found if finding]


def claims(metadata: dict[str, Any]) -> dict[str, float]:
    """Figures that the SAE's makers give: of the source they come from (``claims``), or of our own training (``held_out``)."""
    given = metadata.get("claims") or metadata.get("held_out") or {}
    if not isinstance(given, dict):
        return {}
    figures = {name: float(value) for name, value in given.items() if isinstance(value, int | float) and math.isfinite(value)}
    if "fvu" not in figures and "explained_variance" in figures:
        figures["fvu"] = 1 - figures["explained_variance"]
    return figures


def _fvu(fvu: float, claimed: float | None) -> Finding | None:
    if not math.isfinite(fvu):
        return Finding("mismatch", "The reconstruction is not finite.")
    if claimed is None:
        return _above(fvu, FVU_DOUBTFUL, FVU_MISMATCH, f"FVU is {fvu:.2f}; of most SAEs that work it is below {FVU_DOUBTFUL}.")
    return _above(fvu, _agreeing(claimed), 1.5 * claimed + 0.05, f"FVU is {fvu:.2f}; its makers give {claimed:.2f}.")


def _l0(l0: float, claimed: float | None, d_in: int) -> Finding | None:
    if l0 < 1:
        return Finding("mismatch", f"Hardly any feature is active: {l0:.2g} a token.")
    if claimed:
        return _above(max(l0 / claimed, claimed / l0), 1.5, 3.0, f"{l0:.0f} features are active a token (L0); its makers give {claimed:.0f}.")
    sentence = f"{l0:.0f} features are active a token (L0), of hidden states with {d_in:,} dimensions: that is not sparse."
    return _above(l0 / d_in, L0_DOUBTFUL, L0_MISMATCH, sentence)


def _dead(quality: Quality) -> Finding | None:
    n_features = sum(quality.density["counts"]) + quality.density["never"]
    if quality.n_tokens * quality.l0 < EXPECTED_USES * n_features:
        return None  # too few tokens for rare features
    return _above(
        quality.dead_fraction,
        DEAD_DOUBTFUL,
        math.inf,
        f"{quality.dead_fraction:.0%} of the features are active on none of {quality.n_tokens:,} tokens.",
    )


def _ce(ce: CrossEntropy | None) -> Finding | None:
    if ce is None or ce.recovered is None:
        return None
    sentence = (
        f"{ce.recovered:.0%} of the model's cross-entropy is recovered: {ce.model:.2f} nats a token untouched, {ce.sae:.2f} on the reconstruction, "
        f"{ce.zero:.2f} on zeros."
    )
    return _above(-ce.recovered, -CE_DOUBTFUL, -CE_MISMATCH, sentence)


def _massive(sae: SAE, quality: Quality, here: Variant, x: Float[Tensor, "tokens d_in"], left_out: float) -> list[Finding]:
    """Tokens of massive norm, if the SAE sets no limit: FVU with them says nothing about the others."""
    apart = max(here.fvu, quality.fvu) > MASSIVE_APART * min(here.fvu, quality.fvu)
    if sae.metadata.get("max_norm") is not None or not (apart or left_out):
        return []
    limit = NORM_LIMIT * float(x.norm(dim=1).median())
    how = f": FVU is {quality.fvu:.2f} with them, {here.fvu:.2f} without" if apart else ""
    sentence = f"Some tokens have norms far above the others'{how}. Set metadata.max_norm = {limit:.0f} in cfg.json, so that they get no codes."
    return [Finding("doubtful", sentence)]


def _hook(metadata: dict[str, Any]) -> Finding | None:
    hook = str(metadata.get("hook_name") or "")
    if not any(part in hook for part in NOT_RESIDUAL):
        return None
    return Finding("mismatch", f"It was made for {hook}, but what is read here is the residual stream.")


def _above(value: float, doubtful: float, mismatch: float, sentence: str) -> Finding | None:
    """A finding if a value lies above a limit."""
    if value > mismatch:
        return Finding("mismatch", sentence)
    return Finding("doubtful", sentence) if value > doubtful else None


def _agreeing(claimed: float) -> float:
    """Largest FVU that agrees with a claimed one, as the text is another one."""
    return 1.2 * claimed + 0.02


def _works(sae: SAE, variant: Variant) -> bool:
    claimed = claims(sae.metadata)
    limit = _agreeing(claimed["fvu"]) if "fvu" in claimed else FVU_DOUBTFUL
    return variant.fvu <= limit and _l0(variant.l0, claimed.get("l0"), sae.d_in) is None


def _search(
    sae: SAE,
    sample: Mapping[int, Float[Tensor, "tokens d_in"]],
    layer: int,
    here: Variant,
    layers: list[Variant],
    further: Callable[[], Mapping[int, Float[Tensor, "tokens d_in"]]],
) -> list[Variant]:
    """What makes the SAE work; dear trials only if cheap ones explain nothing."""
    if diagnosis.alignment(sae) < ALIGNED:
        return []
    x, claimed = sample[layer], claims(sae.metadata)
    readings = [*diagnosis.other_inputs(sae, x), *diagnosis.other_readings(sae, x, claimed.get("l0"))]
    remedies = _remedies(sae, here, layers, readings)
    if all(remedy.kind == "layer" for remedy in remedies):  # the right layer may lie beyond those tried
        beyond = {number: _ordinary(states) for number, states in further().items() if number not in sample}
        remedies = _remedies(sae, here, layers + diagnosis.other_layers(sae, beyond, layer), readings)
    unsure = not remedies or (remedies[0].kind == "scale" and "fvu" not in claimed)
    if unsure and sae.scaling.kind in ("none", "constant"):
        free = _remedies(sae, here, [], [diagnosis.any_factor(sae, x)])
        if free and (not remedies or NEARLY_AS_GOOD * free[0].fvu < remedies[0].fvu):
            return free
    return remedies


def _remedies(sae: SAE, here: Variant, layers: list[Variant], readings: list[Variant]) -> list[Variant]:
    """What makes the SAE work and is clearly better than what it is now: of every kind the best, those that hardly differ from the best of all."""
    better = [v for v in layers if v.fvu < LAYER_BETTER * here.fvu] + [v for v in readings if v.fvu < READING_BETTER * here.fvu]
    found: dict[str, Variant] = {}
    for variant in sorted(filter(lambda v: _works(sae, v), better), key=lambda v: v.fvu):
        found.setdefault(variant.kind, variant)
    best = min((variant.fvu for variant in found.values()), default=0.0)
    return [variant for variant in found.values() if variant.fvu <= NEARLY_AS_GOOD * best]


def _unexplained(sae: SAE, *, other_layers: bool) -> str:
    """What may be wrong if nothing that was tried helps."""
    if (cosine := diagnosis.alignment(sae)) < ALIGNED:
        return f"Encoder and decoder do not belong together: the mean cosine of a feature's two directions is {cosine:.2f}."
    tried = "layers, scales and readings" if other_layers else "scales and readings"
    return f"Wrong hook point or scale, another model or damaged weights: none of the other {tried} that were tried makes it work."


def _figures(sae: SAE, quality: Quality, ce: CrossEntropy | None) -> str:
    """The figures of a SAE that works, as a sentence."""
    claimed = claims(sae.metadata).get("fvu")
    beside = "" if claimed is None else f" (its makers give {claimed:.2f})"
    lost = f", {ce.recovered:.1%} of cross-entropy recovered" if ce and ce.recovered is not None else ""
    return f"It works: FVU {quality.fvu:.2f}{beside}, {quality.l0:.0f} active features a token, {quality.dead_fraction:.1%} dead{lost}."


def _ordinary(x: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "kept d_in"]:
    """Without the tokens of massive norm, which would make up most of the variance."""
    norm = x.norm(dim=1)
    return x[norm <= NORM_LIMIT * norm.median()]

"""The table of SAEs and their figures: a row for every text that a SAE was measured on."""

from __future__ import annotations

import pandas as pd

from saebrain.pipeline.sae_figures import Measurement
from saebrain.pipeline.sae_quality import KnownSAE
from saebrain.ui.quality_plots import COLOURS
from saebrain.ui.text import escaped

STATUSES = {"ok": "✓ fits", "doubtful": "? doubtful", "mismatch": "✗ does not fit"}


def figures_table(saes: list[KnownSAE]) -> str:
    """As HTML; nothing in it is trusted."""
    head = "".join(
        f'<th class="{kind}">{title}</th>'
        for title, kind in (
            ("SAE", ""),
            ("Kind", ""),
            ("Features", "num"),
            ("Measured on", ""),
            ("Tokens", "num"),
            ("FVU", "num"),
            ("L0", "num"),
            ("Dead", "num"),
            ("CE recovered", "num"),
            ("Import check", ""),
        )
    )
    rows = "".join(_rows(sae, colour) for sae, colour in zip(saes, COLOURS, strict=False))
    return f'<div class="sb"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def figures_frame(saes: list[KnownSAE]) -> pd.DataFrame:
    """As a table for export."""
    return pd.DataFrame(
        [
            {
                "sae": sae.label,
                "folder": str(sae.folder),
                "layer": sae.layer,
                "architecture": sae.architecture,
                "n_features": sae.n_features,
                "k": sae.k,
                "measured_on": found.text,
                "n_tokens": found.n_tokens,
                "fvu": found.fvu,
                "l0": found.l0,
                "dead_fraction": found.dead_fraction,
                "ce_recovered": found.ce_recovered,
                "check": found.check and found.check.status,
            }
            for sae in saes
            for found in sae.measured
        ]
    )


def _rows(sae: KnownSAE, colour: str) -> str:
    own = ' <span class="faint">this study</span>' if sae.own else ""
    name = f'<span class="sb-dot" style="background:{colour}"></span><b>{escaped(sae.label)}</b>{own}'
    kind = f'<td style="white-space:nowrap">{escaped(_kind(sae))}</td>'
    about = f'<td title="{escaped(sae.folder)}">{name}</td>{kind}<td class="num">{_count(sae.n_features)}</td>'
    if not sae.measured:
        return f'<tr>{about}<td class="faint" colspan="7">{"not measured yet" if sae.state == "finished" else escaped(sae.state)}</td></tr>'
    return "".join(f"<tr>{about if number == 0 else '<td></td>' * 3}{_figures(found)}</tr>" for number, found in enumerate(sae.measured))


def _figures(found: Measurement) -> str:
    check = ""
    if found.check:
        check = f'<span title="{escaped(" ".join(found.check.reasons))}">{STATUSES[found.check.status]}</span>'
    numbers = [
        _count(found.n_tokens),
        _written(found.fvu, ".3f"),
        _written(found.l0, ".1f"),
        _written(found.dead_fraction, ".2%"),
        _written(found.ce_recovered, ".1%"),
    ]
    cells = "".join(f'<td class="num">{number}</td>' for number in numbers)
    return f"<td>{escaped(found.text)}</td>{cells}<td>{check}</td>"


def _kind(sae: KnownSAE) -> str:
    if sae.architecture is None:
        return "–"
    return f"{sae.kind}, k = {sae.k:g}" if sae.k is not None else sae.kind


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _written(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"

"""Tables of agreement, as HTML; nothing in them is trusted, and what is undefined says so."""

from __future__ import annotations

from typing import Any

from saebrain.ui.text import category, escaped

_HEAD = ("Pair", "Features", "κ", "SE", "95% interval", "Bootstrap", "Agree", "PABAK", "AC1")


def pairs_table(levels: dict[str, list[dict[str, Any]]]) -> str:
    """Figures of every pair at every level that is given."""
    head = "".join(f'<th class="{"num" if number else ""}">{title}</th>' for number, title in enumerate(_HEAD))
    body = "".join(
        f'<tr><th colspan="{len(_HEAD)}">{escaped(title)}</th></tr>' + "".join(_row(f"{pair['a']}, {pair['b']}", pair) for pair in pairs)
        for title, pairs in levels.items()
    )
    return f'<div class="sb"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def within_table(within: dict[str, list[dict[str, Any]]]) -> str:
    """Kappa of the second level among features that a pair put under one top level."""
    rows = "".join(
        f'<tr><td>{escaped(category(top))}</td><td>{escaped(pair["a"])}, {escaped(pair["b"])}</td><td class="num">{pair["n"]:,}</td>'
        f'<td class="num">{figure(pair["kappa"])}</td><td class="num">{interval(pair["log_low"], pair["log_high"])}</td></tr>'
        for top, pairs in within.items()
        for pair in pairs
    )
    head = '<tr><th>Both said</th><th>Pair</th><th class="num">Features</th><th class="num">κ</th><th class="num">95% interval</th></tr>'
    return f'<div class="sb"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def margins_table(pair: dict[str, Any], labels: list[str]) -> str:
    """How often each of a pair used each label, on the features that both labelled."""
    counts = pair["confusion"]
    rows = "".join(
        f'<tr><td>{escaped(category(label))}</td><td class="num">{sum(counts[i]):,}</td><td class="num">{sum(row[i] for row in counts):,}</td></tr>'
        for i, label in enumerate(labels)
    )
    head = f'<tr><th>Label</th><th class="num">{escaped(pair["a"])}</th><th class="num">{escaped(pair["b"])}</th></tr>'
    return f'<div class="sb"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def figure(value: float | None) -> str:
    return '<span class="faint">undefined</span>' if value is None else f"{value:.2f}".replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    return figure(None) if low is None or high is None else f"{figure(low)} to {figure(high)}"


def _row(name: str, pair: dict[str, Any]) -> str:
    percent = figure(None) if pair["percent"] is None else f"{pair['percent']:.0%}"
    cells = [
        f"{pair['n']:,}",
        f"<b>{figure(pair['kappa'])}</b>",
        figure(pair["se"]),
        interval(pair["log_low"], pair["log_high"]),
        interval(pair["boot_low"], pair["boot_high"]),
        percent,
        figure(pair["pabak"]),
        figure(pair["ac1"]),
    ]
    return f"<tr><td>{escaped(name)}</td>" + "".join(f'<td class="num">{cell}</td>' for cell in cells) + "</tr>"

"""The HTML of a feature's parts."""

from __future__ import annotations

import pandas as pd
import pytest

from saebrain.ui import feature


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All HTML that is shown, in order."""
    blocks: list[str] = []
    monkeypatch.setattr(feature.st, "html", blocks.append)
    return blocks


def context(values: list[float], texts: list[str], peak: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "rank": 0,
            "peak": [i == peak for i in range(len(values))],
            "run": "one",
            "position": range(len(values)),
            "word": range(len(values)),
            "text": texts,
            "value": values,
        }
    )


def test_highlight_is_the_share_of_the_greatest_activation(shown: list[str]) -> None:
    onsets = pd.Series([0.0, 187.42, 188.0], index=pd.MultiIndex.from_product([["one"], range(3)]))
    feature.contexts(context([0.0, 4.0, 1.0], ["The", " cliff", "top"], 1), onsets, 4.0)
    assert 'The <mark class="peak" style="--share: 100%" title="activation 4.00">cliff</mark>' in shown[0]
    assert '<mark style="--share: 25%" title="activation 1.00">top</mark>' in shown[0]
    assert "3:07.4 min" in shown[0] and "one" in shown[0]


def test_tokens_of_any_kind_are_escaped(shown: list[str]) -> None:
    hostile = ["<script>", "\n", " ", '"onload="', "&amp;"]
    feature.token_effects({"Promoted": (hostile, [1.0, 0.5, 0.25, -0.1, 0.0])})
    assert "<script>" not in shown[0] and "&lt;script&gt;" in shown[0]
    assert "⏎" in shown[0] and "␣" in shown[0] and "&quot;onload" in shown[0] and "&amp;amp;" in shown[0]
    assert "−0.10" in shown[0] and "width:50%" in shown[0]


def test_no_tokens_at_all(shown: list[str]) -> None:
    feature.token_effects({"Promoted": ([], [])})
    assert "<tbody></tbody>" in shown[0]


def test_reasons_are_escaped(shown: list[str]) -> None:
    feature.label_list(pd.DataFrame({"annotator": ["a<b"], "kind": ["human"], "label": ["semantic/place"], "confidence": [0.5], "reason": ["'<i>'"]}))
    assert "semantic / place" in shown[0] and "a&lt;b" in shown[0] and "&lt;i&gt;" in shown[0]


def test_sub_words_are_merged_when_asked_for(shown: list[str]) -> None:
    table = context([0.0, 4.0, 1.0, 2.0], ["The", " light", "house", "."], 2)
    table["word"] = [0, 1, 1, 1]
    feature.contexts(table, pd.Series(dtype=float), 4.0, whole_words=True)
    assert 'The <mark class="peak" style="--share: 100%" title="activation 4.00">lighthouse.</mark></div>' in shown[0]


def test_near_miss_underlines_its_place_without_an_activation(shown: list[str]) -> None:
    feature.contexts(context([0.0, 0.0], ["The", " cliff"], 1), pd.Series(dtype=float), 4.0)
    assert '<mark class="peak" style="--share: 0%" title="activation 0.00">cliff</mark>' in shown[0] and '<span class="value">' not in shown[0]


def test_direction_follows_the_text(shown: list[str]) -> None:
    feature.contexts(context([1.0, 0.0], ["السلام", " عليكم"], 0), pd.Series(dtype=float), 1.0)
    assert '<div class="text" dir="auto" tabindex="0">' in shown[0] and "السلام</mark> عليكم" in shown[0]

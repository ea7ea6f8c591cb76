"""The process in which a model reads texts that people type: ``python -m saebrain.pipeline.feature_reading STUDY``.

Requests and answers are JSON, a line each: ``{"id", "layer", "text"}`` comes in; out goes ``{"id", "state", ...}`` with the state
"loading", "reading" and at the end "done" (tokens; feature, token and value of every code) or "failed" (message). The model and
the last few SAEs stay in memory. The process ends with its input, or after some minutes without a request.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from saebrain.activations import hidden_states
from saebrain.errors import InputError, SaebrainError
from saebrain.features import encode
from saebrain.models import LanguageModel, load_model
from saebrain.pipeline.feature_worker import IDLE_S, MOST_TOKENS
from saebrain.pipeline.sae_source import sae_source
from saebrain.sae import formats
from saebrain.sae.base import SAE
from saebrain.study import Study
from saebrain.tokens import tokenise


def main(folder: Path) -> int:
    """Answer requests until there are no more."""
    # What libraries print must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    study = Study.open(folder)
    parent, pending = os.getppid(), b""
    while True:
        ready, _, _ = select.select([0], [], [], IDLE_S)
        received = os.read(0, 1 << 16) if ready else b""
        if not received or os.getppid() != parent:
            return 0
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            _answer(study, json.loads(line), answers)


def read_text(study: Study, text: str) -> dict[str, Any]:
    """Tokens of a text, and the codes of the study's layer at each.

    Raises
    ------
    InputError
        If the text has no or too many tokens.
    """
    model, sae = _model(study), _sae(study)
    table = tokenise(model.tokenizer, text, np.array([[0, len(text)]]))
    if not 0 < len(table) <= MOST_TOKENS:
        raise InputError(f"text of {len(table):,} tokens: between 1 and {MOST_TOKENS} can be read; {'shorten it' if len(table) else 'type some'}")
    section = study.config.model
    ids = table["token_id"].to_numpy()
    states = hidden_states(model, [ids], [study.layer], window=section.window, stride=section.stride).layers[study.layer]
    feature, token, value = (np.concatenate(parts) for parts in zip(*encode(sae, [states], n_tokens=len(ids)), strict=True))
    return {
        "tokens": table["text"].tolist(),
        "feature": feature.tolist(),
        "token": token.tolist(),
        "value": value.astype(np.float32).round(3).tolist(),
    }


def _answer(study: Study, request: dict[str, Any], answers: TextIO) -> None:
    def say(state: str, **content: Any) -> None:
        answers.write(json.dumps({"id": request["id"], "state": state, **content}) + "\n")
        answers.flush()

    try:
        began, at = time.monotonic(), study.at(int(request["layer"]))
        say("loading")
        _model(at), _sae(at)
        say("reading", loaded_s=round(time.monotonic() - began, 2))
        say("done", **read_text(at, str(request["text"])))
    except SaebrainError as error:
        say("failed", message=" ".join(str(error).split()))
    except Exception as error:
        traceback.print_exc()
        say("failed", message=f"{type(error).__name__}: {error}; what the server prints says where")


def _model(study: Study) -> LanguageModel:
    section = study.config.model
    return _cached_model(section.source, section.device, section.dtype, section.prefix)


@lru_cache(maxsize=1)
def _cached_model(source: str, device: str, dtype: str, prefix: str) -> LanguageModel:
    return load_model(source, device=device, dtype=dtype, prefix=prefix)


def _sae(study: Study) -> SAE:
    return _cached_sae(str(sae_source(study)), isinstance(sae_source(study), Path), str(_model(study).device))


@lru_cache(maxsize=2)
def _cached_sae(source: str, is_folder: bool, device: str) -> SAE:
    return formats.read(Path(source) if is_folder else source).on(device)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

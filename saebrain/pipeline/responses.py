"""The responses of a study: simulated, or brought from outside and checked."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
from jaxtyping import Float

from saebrain import simulate
from saebrain.atomic import write_array, write_json
from saebrain.errors import InputError
from saebrain.lexicon import load_lexicon
from saebrain.pipeline.selection import SIMULATED, simulated_subjects, study_codebook, subcategories
from saebrain.progress import Report
from saebrain.responses import Responses, open_responses
from saebrain.store import read_table
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany
from saebrain.tokens import word_surprisal


def responses(study: Study, report: Report) -> None:
    """Simulate the responses, or check those that are there if the study has no [simulation]."""
    if study.simulated:
        simulated_responses(study, report)
    open_study_responses(study)


def open_study_responses(study: Study) -> Responses:
    """The responses of a study, checked."""
    section = study.config.responses
    return open_responses(study.responses, study.run_names, space=section.space, tr_s=section.tr_s, samples=section.samples)


def simulated_responses(study: Study, report: Report) -> None:
    """Write ``responses/{subject}/{run}.npy`` with planted signals, and the truth beside them in ``truth/``."""
    section = study.config.simulation
    if section is None:
        raise InputError(f"study {study.folder}: no [simulation] in study.toml, so its responses are real; nothing is simulated over them")
    response = study.config.responses
    if abs(response.tr_s - simulate.RESTING_TR_S) > 1e-6:
        raise InputError(f"responses.tr_s = {response.tr_s}: the resting-state recording has {simulate.RESTING_TR_S} s; set tr_s to that")
    words = read_table(study.words, "python -m saebrain stimulus")
    tokens = read_table(study.tokens, "python -m saebrain activations")
    codebook, atlas = study_codebook(study), desikan_killiany()
    rng = np.random.default_rng(section.seed)
    subjects = simulated_subjects(section.subjects)
    predicted = {path: list(codebook.predicted(path)) for path in subcategories(codebook)}
    truth = simulate.plant(subjects, atlas.labels, list(atlas.parcels), predicted, rng)
    resting = simulate.resting_bold()
    if len(resting) != response.samples:
        raise InputError(f"responses.samples = {response.samples}: the resting-state recording has {len(resting)}; set samples to that")
    signals = {run: _signals(study, group, tokens[tokens["run"] == run], truth.signals) for run, group in words.groupby("run", sort=False)}
    done, total = 0, len(subjects) * len(signals)
    _clear(study)
    for subject in subjects:
        for run, signal in signals.items():
            noise = simulate.phase_randomised(resting, rng)
            write_array(study.responses / subject / f"{run}.npy", simulate.respond(noise, signal, truth.weights[subject], section.strength))
            done += 1
            report(done, total)
    _write_truth(study, truth, signals, section.strength)


def _clear(study: Study) -> None:
    """Remove what was simulated before; refuse if there is anything else."""
    found = [path.name for path in study.responses.iterdir()] if study.responses.is_dir() else []
    foreign = sorted(name for name in found if not name.startswith(SIMULATED))
    if foreign:
        raise InputError(f"{study.responses}: holds {foreign[0]!r}, which was not simulated; move it away, or remove [simulation] from study.toml")
    shutil.rmtree(study.responses, ignore_errors=True)


def _signals(study: Study, words: pd.DataFrame, tokens: pd.DataFrame, names: list[str]) -> Float[np.ndarray, "samples signals"]:
    assert study.config.simulation is not None
    lexicon = load_lexicon(study.resolve(study.config.simulation.lexicon))
    surprisal = word_surprisal(tokens, len(words))
    indicators = dict(zip(lexicon.categories, lexicon.indicators(words).T, strict=True))
    values = {**indicators, "word rate": np.ones(len(words)), "surprisal": surprisal - surprisal.mean()}
    if missing := [name for name in names if name not in values]:
        raise InputError(f"lexicon {study.config.simulation.lexicon}: no words for {', '.join(missing)}, which the codebook has; list some")
    response = study.config.responses
    onset = words["onset_s"].to_numpy()
    return np.column_stack([simulate.convolved(onset, values[name].astype(float), samples=response.samples, tr_s=response.tr_s) for name in names])


def _write_truth(study: Study, truth: simulate.Truth, signals: dict[str, np.ndarray], strength: float) -> None:
    folder = study.folder / "truth"
    shutil.rmtree(folder, ignore_errors=True)
    for subject, weights in truth.weights.items():
        write_array(folder / f"weights_{subject}.npy", weights)
    for run, signal in signals.items():
        write_array(folder / f"signals_{run}.npy", signal)
    write_json(folder / "truth.json", {"strength": strength, "signals": truth.signals, "parcels": truth.parcels})

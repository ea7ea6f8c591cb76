"""The responses of a study: simulated, or brought from outside and checked."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
from jaxtyping import Float

from saebrain import simulate
from saebrain.arrays import write_array
from saebrain.atomic import write_json
from saebrain.errors import InputError
from saebrain.lexicon import load_lexicon
from saebrain.pipeline.selection import SIMULATED, simulated_subjects, study_codebook, subcategories
from saebrain.pipeline.timing import check_length, stated_samples, study_responses
from saebrain.progress import Report, silent
from saebrain.store import read_table
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany
from saebrain.tokens import word_surprisal


def responses(study: Study, report: Report) -> None:
    """Simulate the responses, or check those that are there if the study has no [simulation]."""
    if study.simulated:
        simulated_responses(study, report)
    found = study_responses(study, check=silent if study.simulated else report)
    words = read_table(study.words, "python -m saebrain stimulus", ["run", "onset_s"])
    for samples, (_, group) in zip(found.samples, words.groupby("run", sort=False), strict=True):
        check_length(group, samples, found.tr_s)


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
    if any(samples != len(resting) for samples in stated_samples(study) or []):
        raise InputError(f"responses.samples = {response.samples}: the resting-state recording has {len(resting)}; set samples to that")
    by_run = tokens.groupby("run", sort=False)
    signals = {run: _signals(study, group, by_run.get_group(run), truth.signals, len(resting)) for run, group in words.groupby("run", sort=False)}
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


def _signals(study: Study, words: pd.DataFrame, tokens: pd.DataFrame, names: list[str], samples: int) -> Float[np.ndarray, "samples signals"]:
    assert study.config.simulation is not None
    lexicon = load_lexicon(study.resolve(study.config.simulation.lexicon))
    surprisal = word_surprisal(tokens, len(words))
    indicators = dict(zip(lexicon.categories, lexicon.indicators(words).T, strict=True))
    values = {**indicators, "word rate": np.ones(len(words)), "surprisal": surprisal - surprisal.mean()}
    if missing := [name for name in names if name not in values]:
        raise InputError(f"lexicon {study.config.simulation.lexicon}: no words for {', '.join(missing)}, which the codebook has; list some")
    onset, tr_s = words["onset_s"].to_numpy(), study.config.responses.tr_s
    return np.column_stack([simulate.convolved(onset, values[name].astype(float), samples=samples, tr_s=tr_s) for name in names])


def _write_truth(study: Study, truth: simulate.Truth, signals: dict[str, np.ndarray], strength: float) -> None:
    folder = study.folder / "truth"
    shutil.rmtree(folder, ignore_errors=True)
    for subject, weights in truth.weights.items():
        write_array(folder / f"weights_{subject}.npy", weights)
    for run, signal in signals.items():
        write_array(folder / f"signals_{run}.npy", signal)
    write_json(folder / "truth.json", {"strength": strength, "signals": truth.signals, "parcels": truth.parcels})

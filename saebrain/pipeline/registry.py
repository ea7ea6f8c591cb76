"""The steps of a study, in the order in which data walks through them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saebrain.pipeline.results import result_folder
from saebrain.pipeline.sae_source import sae_files
from saebrain.pipeline.selection import simulated_subjects, standard_selections, study_codebook
from saebrain.pipeline.space import space_files
from saebrain.pipeline.steps import Step
from saebrain.study import Study


def _run_files(study: Study) -> list[Path]:
    return [study.resolve(run.source) for run in study.config.stimulus.runs]


def _shards(study: Study) -> list[Path]:
    """Every file that saebrain.shards writes for the study's runs; not asked of it, as it brings torch."""
    folders = [*(f"layer_{layer:02d}" for layer in study.layers), "surprisal", "tokens"]
    return [study.activations / folder / f"{number:05d}.npy" for folder in folders for number in range(len(study.run_names))]


def _response_files(study: Study) -> list[Path]:
    if study.simulated:
        return []
    return sorted(study.responses.glob("*/*.npy"))


def _written_responses(study: Study) -> list[Path]:
    """Every file of the simulated responses; of real ones the folder, as the files are inputs."""
    if study.config.simulation is None:
        return [study.responses]
    return [study.responses / subject / f"{run}.npy" for subject in simulated_subjects(study.config.simulation.subjects) for run in study.run_names]


def _results(study: Study) -> list[Path]:
    return [result_folder(study, name) / "result.json" for name in standard_selections(study_codebook(study))]


def _lexicon(study: Study) -> list[Path]:
    return [study.resolve(study.config.simulation.lexicon)] if study.config.simulation else []


def _reading(study: Study) -> dict[str, Any]:
    # Where and how fast the model runs does not change what it says.
    return {**study.config.model.model_dump(exclude={"device", "batch_tokens", "layer"}), "layers": study.layers}


def _other_codes(study: Study) -> list[Path]:
    """Codes of the study's other layers, in which matching features are looked for."""
    return [study.at(layer).features / "codes.parquet" for layer in study.layers if layer != study.layer]


STEPS = {
    step.name: step
    for step in (
        Step(
            name="stimulus",
            verb="stimulus",
            title="Stimulus",
            unit="runs",
            run="language:stimulus",
            needs=(),
            config=lambda s: [s.config.stimulus.model_dump(), s.config.responses.model_dump(include={"tr_s", "samples"})],
            inputs=_run_files,
            outputs=lambda s: [s.words],
        ),
        Step(
            name="activations",
            verb="activations",
            title="Activations",
            unit="tokens",
            run="language:activations",
            needs=("stimulus",),
            config=_reading,
            inputs=lambda s: [],
            outputs=lambda s: [s.tokens, s.activations / "index.json", *_shards(s)],
        ),
        Step(
            name="codes",
            verb="sae encode",
            title="SAE codes",
            unit="tokens",
            run="language:codes",
            needs=("activations",),
            config=lambda s: [s.config.sae, s.config.sae_check],
            inputs=sae_files,
            outputs=lambda s: [s.features / "codes.parquet", s.features / "quality.json"],
        ),
        Step(
            name="features",
            verb="features",
            title="Features",
            unit="features",
            run="language:features",
            needs=("codes",),
            config=lambda s: None,
            inputs=lambda s: [],
            outputs=lambda s: [s.features / "features.parquet", s.features / "contexts.parquet"],
        ),
        Step(
            name="labels",
            verb="labels",
            title="Machine labels",
            unit="parts",
            run="language:labels",
            needs=("features",),
            config=lambda s: s.config.labels.model_dump(),
            inputs=lambda s: [s.resolve(s.config.labels.codebook), s.resolve(s.config.labels.lexicon)],
            outputs=lambda s: [s.labels],
        ),
        Step(
            name="neighbours",
            verb="neighbours",
            title="Neighbours of features",
            unit="features",
            run="feature_neighbours:neighbours",
            needs=("features",),
            config=lambda s: None,
            inputs=_other_codes,
            outputs=lambda s: [s.features / "neighbours.parquet"],
        ),
        Step(
            name="layout",
            verb="layout",
            title="Map of features",
            unit="parts",
            run="feature_layout:layout",
            needs=("codes",),
            config=lambda s: None,
            inputs=lambda s: [],
            outputs=lambda s: [s.features / "layout.parquet"],
        ),
        Step(
            name="responses",
            verb="simulate",
            title="Responses",
            unit="runs",
            run="responses:responses",
            needs=("activations",),
            config=lambda s: [s.config.responses.model_dump(), s.config.simulation and s.config.simulation.model_dump()],
            inputs=lambda s: [*_response_files(s), *_lexicon(s), s.resolve(s.config.labels.codebook), *space_files(s)],
            outputs=_written_responses,
        ),
        Step(
            name="encode",
            verb="encode",
            title="Encoding models",
            unit="fits",
            run="encode:encode",
            needs=("labels", "responses"),
            config=lambda s: s.config.encoding.settings(),
            inputs=lambda s: [],
            outputs=lambda s: [s.features / "parcels.parquet", *_results(s)],
            version=2,
        ),
        Step(
            name="summary",
            verb="summary",
            title="Summary",
            unit="parts",
            run="summary:write",
            needs=("encode",),
            config=lambda s: s.config.title,
            inputs=lambda s: [],
            outputs=lambda s: [s.summary],
        ),
    )
}

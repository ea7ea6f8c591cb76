"""``study.toml``: every setting of a study, documented where it is declared and checked when it is read.

Paths are relative to the study folder; ``shipped:NAME`` stands for a file or folder that comes with saebrain, under ``data/``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, field_validator, model_validator

FSAVERAGE5 = "fsaverage5"
DESIKAN_KILLIANY: Literal["desikan-killiany"] = "desikan-killiany"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSection(_Section):
    """The language model and how it reads."""

    source: str
    """Directory with config.json, ``.gguf`` file, hub name, or ``package:NAME`` for a GGUF file inside a Python package."""
    layer: int = Field(ge=0)
    """Layer whose hidden states are split into features; 0 is the embedding, k the residual stream after block k."""
    prefix: str = "auto"
    """Token that opens every window; ``auto`` is the tokenizer's own beginning of text."""
    window: int = Field(512, ge=8)
    """Context window, in tokens."""
    stride: int = Field(384, ge=1)
    """Tokens by which the window moves on; every later token has at least window - stride before it."""
    batch_tokens: int = Field(4096, ge=1)
    device: str = "auto"
    dtype: Literal["auto", "fp32", "bf16"] = "auto"

    @model_validator(mode="after")
    def _stride_fits(self) -> Self:
        if self.stride > self.window:
            raise ValueError(f"stride {self.stride} is larger than window {self.window}; make it at most the window")
        return self


class RunSection(_Section):
    """One run of the stimulus."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    source: str
    """``.txt``: text, spoken by the speech-rate model; ``.csv``, ``.tsv`` or ``.TextGrid``: words with their times."""
    language: str = Field("en", pattern=r"^[a-z]{2,3}$")
    tier: str = "words"
    """Tier of a TextGrid."""
    strip: str | None = None
    """Regular expression for what is cut from every word of a file with times, such as a token code."""

    @field_validator("strip")
    @classmethod
    def _compiles(cls, strip: str | None) -> str | None:
        try:
            re.compile(strip or "")
        except re.error as error:
            raise ValueError(f"no valid regular expression ({error})") from error
        return strip


class StimulusSection(_Section):
    """What was heard or read."""

    runs: list[RunSection] = Field(min_length=1)
    seed: int = 0
    """Seed of the speech-rate model."""
    words_per_minute: float = Field(150.0, gt=0)
    lead_in_s: float = Field(8.0, ge=0)
    """Silence before the first word, in seconds."""

    @field_validator("runs")
    @classmethod
    def _names_differ(cls, runs: list[RunSection]) -> list[RunSection]:
        names = [run.name for run in runs]
        if len(set(names)) < len(names):
            raise ValueError(f"run names must differ, received {names}")
        return runs


class SimulationSection(_Section):
    """Planted responses on real resting-state BOLD; present only in studies whose responses are simulated."""

    subjects: int = Field(3, ge=1)
    strength: float = Field(0.25, ge=0)
    """Standard deviation of the planted signal at a vertex of weight 1, that of the noise being 1; 0 plants nothing."""
    lexicon: str = "shipped:demo/lexicon.toml"
    """Words that the planted responses follow."""
    seed: int = 0


class ResponsesSection(_Section):
    """The fMRI responses under ``responses/{subject}/{run}.npy``, samples x vertices."""

    space: str = FSAVERAGE5
    """``fsaverage5``, or a folder with surfaces of both hemispheres: a FreeSurfer subject, or GIFTI files of one template (docs/surface.md)."""
    tr_s: float = Field(gt=0)
    """Time between samples, in seconds."""
    samples: Annotated[int, Field(ge=10)] | list[Annotated[int, Field(ge=10)]] | None = None
    """Samples of every run: one number for all, a number each, or nothing, to go by the files."""
    atlas: Literal["desikan-killiany"] | tuple[str, str] = DESIKAN_KILLIANY
    """``desikan-killiany`` on fsaverage5, or two files of labels on the study's mesh, the left hemisphere's first (.annot, .label.gii)."""

    @field_validator("atlas", mode="before")
    @classmethod
    def _one_or_two(cls, atlas: Any) -> Any:
        if atlas != DESIKAN_KILLIANY and not (isinstance(atlas, list | tuple) and len(atlas) == 2 and all(isinstance(path, str) for path in atlas)):
            raise ValueError(f"neither {DESIKAN_KILLIANY!r} nor two files of labels, left first; give one of these")
        return atlas

    @model_validator(mode="after")
    def _atlas_fits_space(self) -> Self:
        if self.space != FSAVERAGE5 and self.atlas == DESIKAN_KILLIANY:
            raise ValueError(f"atlas {DESIKAN_KILLIANY} ships for {FSAVERAGE5} alone; give two files of labels on this mesh: atlas = [LEFT, RIGHT]")
        return self


class LabelsSection(_Section):
    """How features are sorted into the categories of the codebook."""

    codebook: str = "shipped:codebook.toml"
    lexicon: str = "shipped:demo/lexicon.toml"
    """Word forms of each subcategory, for the machine annotator that looks words up."""
    contexts: int = Field(16, ge=4)
    """Strongest activations, at different words, that a machine annotator reads."""
    min_contexts: int = Field(4, ge=2)
    """Features with fewer are 'unclear'."""


class EncodingSection(_Section):
    """From features to predicted responses."""

    response: Literal["fir", "hrf"] = "fir"
    """Finite impulse response, a weight for every delay, or every feature convolved with the canonical haemodynamic response."""
    delays_s: list[NonNegativeFloat] = Field(default=[2.8, 4.2, 5.6, 7.0], min_length=1)
    """Delays of the finite impulse response, in seconds; each is rounded to whole samples."""
    trim_start_s: NonNegativeFloat = 0.0
    """Seconds to leave out at the start of every run, rounded to whole samples; what is heard then still counts for later responses."""
    trim_end_s: NonNegativeFloat = 0.0
    """The same at the end."""
    downsampling: Literal["lanczos", "average", "sum"] = "lanczos"
    pooling: Literal["sum", "mean", "max", "last"] = "sum"
    """How the tokens of a word become one value."""
    scaling: Literal["centre", "unit"] = "centre"
    """Within each run features are centred, and with ``unit`` also divided by their standard deviation."""
    alphas: list[PositiveFloat] = Field(default=[0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0], min_length=1)
    """Ridge penalties to choose from, for kernels whose mean diagonal is 1."""
    alpha: Literal["vertex", "parcel", "global"] = "parcel"
    """Which vertices share one penalty; where they do, twelve of each parcel choose it together."""
    folds: Literal["runs"] | Annotated[int, Field(ge=3)] = "runs"
    """What is held out: runs (three or more), or so many contiguous blocks, with a gap of the longest delay around each."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models are fitted; the results are the same."""

    def settings(self) -> dict[str, Any]:
        """All that results depend on."""
        return self.model_dump(exclude={"device"})


class AnnotationSection(_Section):
    """Who labels which features, and where labels are kept."""

    database: str = ""
    """URL of PostgreSQL or SQLite; ``$NAME``: the URL in that environment variable; empty: annotations.db in the study folder."""
    login: Literal["names", "oidc"] = "names"
    """Whoever opens the dashboard chooses a name, or signs in at an OpenID Connect provider and needs a role."""
    random: int = Field(200, ge=0)
    """Features of the stratified random sample, which is what agreement is reported on."""
    overlap: int = Field(100, ge=0)
    """How many of them several people label."""
    annotators_each: int = Field(2, ge=2)
    """How many people those are."""
    repeats: float = Field(0.05, ge=0, le=0.5)
    """Share of an annotator's work that is shown again, unannounced, to see whether the same person still says the same."""
    repeat_after: int = Field(20, ge=1)
    """Labels of the annotator between a feature and its repeat, at least."""
    impact: int = Field(50, ge=0)
    """Features that predict responses best, besides the sample."""
    assign: dict[Literal["overlap", "random", "impact", "disagreement"], list[str]] = {}
    """Who works on a queue, by names; a queue that is not named is open to all."""
    claim_minutes: float = Field(60, gt=0)
    """After so long, what was shown to an annotator and not answered is offered to others."""
    suggestions: Literal["off", "after"] = "off"
    """Whether an annotator sees the machine's label, once their own is saved."""
    seed: int = 0
    """Of the random sample."""

    @model_validator(mode="after")
    def _overlap_is_part(self) -> Self:
        if self.overlap > self.random:
            raise ValueError(f"overlap {self.overlap} is larger than random {self.random}, of which it is a part; make it at most that")
        return self


class LayerSection(_Section):
    """A further layer of the model, with a SAE of its own."""

    layer: int = Field(ge=0)
    """As in the model's section."""
    sae: str
    """As on top level."""


class StudyConfig(_Section):
    """All of ``study.toml``."""

    title: str
    model: ModelSection
    more_layers: list[LayerSection] = []
    """Layers to compare with the model's ``layer``, which is the one that a study is opened at."""
    sae: str
    """Folder with cfg.json and sae_weights.safetensors or another layout that is known (docs/saes.md), or ``hf:OWNER/REPOSITORY/FOLDER@REVISION``."""
    sae_check: Literal["stop", "warn", "off"] = "stop"
    """What is done when the SAE does not fit the hidden states: refuse to encode, encode and say so, or do not look."""
    sae_folders: list[str] = []
    """Further SAEs to show on the quality page: their folders, or folders that hold some; runs of training in progress too."""
    stimulus: StimulusSection
    responses: ResponsesSection
    simulation: SimulationSection | None = None
    labels: LabelsSection = LabelsSection()
    encoding: EncodingSection = EncodingSection()
    annotation: AnnotationSection = AnnotationSection()

    @model_validator(mode="after")
    def _samples_for_every_run(self) -> Self:
        samples, runs = self.responses.samples, len(self.stimulus.runs)
        if isinstance(samples, list) and len(samples) != runs:
            raise ValueError(f"responses.samples has {len(samples)} numbers for {runs} runs; give one for each, or one for all")
        return self

    @model_validator(mode="after")
    def _simulated_where_the_noise_is(self) -> Self:
        if self.simulation and (self.responses.space, self.responses.atlas) != (FSAVERAGE5, DESIKAN_KILLIANY):
            raise ValueError(f"responses are simulated on {FSAVERAGE5} with {DESIKAN_KILLIANY} alone; remove responses.space and responses.atlas")
        return self

    @model_validator(mode="after")
    def _layers_differ(self) -> Self:
        layers = [self.model.layer, *(more.layer for more in self.more_layers)]
        if len(set(layers)) < len(layers):
            raise ValueError(f"layers must differ, received {layers}; name each layer once")
        return self

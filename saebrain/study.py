"""A study: one folder with a ``study.toml`` and every result that was computed from it.

The settings are in :mod:`saebrain.config`.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import ValidationError

from saebrain.config import LayerSection, StudyConfig
from saebrain.errors import InputError, MissingStepError

PROJECT = Path(__file__).resolve().parent.parent
SHIPPED = PROJECT / "data"
SHIPPED_SCHEME = "shipped:"
DEMO = "studies/demo"
STUDY_VARIABLE = "SAEBRAIN_STUDY"


class Study:
    """An open study: its folder, its config and the paths of its results, as seen at one of its layers."""

    def __init__(self, folder: Path, config: StudyConfig, main_layer: int | None = None) -> None:
        self.folder = folder
        self.config = config
        self.main_layer = config.model.layer if main_layer is None else main_layer

    @classmethod
    def open(cls, folder: Path | str) -> Study:
        """Open a study folder.

        Raises
        ------
        MissingStepError
            If there is no such study.
        InputError
            If its study.toml cannot be read or has a wrong or unknown field.
        """
        folder = Path(folder)
        path = folder / "study.toml"
        if not path.is_file():
            raise MissingStepError(f"study {folder} (a folder with a study.toml)", f"python -m saebrain demo {folder}, or name an existing study")
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not valid TOML ({error}); mend that line") from error
        try:
            return cls(folder, StudyConfig.model_validate(values))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"{path}: {where}: {first['msg']} (received {first['input']!r:.80}); mend study.toml") from error

    @property
    def layer(self) -> int:
        """The layer at which the study is seen."""
        return self.config.model.layer

    @property
    def layers(self) -> list[int]:
        """All its layers, ascending."""
        return sorted([self.layer, *(more.layer for more in self.config.more_layers)])

    def at(self, layer: int) -> Study:
        """The same study, seen at another of its layers.

        Raises
        ------
        InputError
            If it has no such layer.
        """
        if layer == self.layer:
            return self
        for more in self.config.more_layers:
            if more.layer == layer:
                others = [other for other in self.config.more_layers if other is not more]
                changes = {
                    "model": self.config.model.model_copy(update={"layer": layer}),
                    "sae": more.sae,
                    "more_layers": [*others, LayerSection(layer=self.layer, sae=self.config.sae)],
                }
                return Study(self.folder, self.config.model_copy(update=changes), self.main_layer)
        raise InputError(f"layer {layer}: this study has the layers {', '.join(map(str, self.layers))}; add it under [[more_layers]] in study.toml")

    def resolve(self, path: str) -> Path:
        """A path as written in study.toml: relative to the study, absolute, or ``shipped:``."""
        return resolve_shipped(path) if path.startswith(SHIPPED_SCHEME) else self.folder / Path(path).expanduser()

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def simulated(self) -> bool:
        return self.config.simulation is not None

    @property
    def run_names(self) -> list[str]:
        return [run.name for run in self.config.stimulus.runs]

    @property
    def words(self) -> Path:
        return self.folder / "words.parquet"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.parquet"

    @property
    def activations(self) -> Path:
        return self.folder / "activations"

    @property
    def features(self) -> Path:
        return self.folder / "features" / str(self.config.model.layer)

    @property
    def labels(self) -> Path:
        return self.features / "labels.parquet"

    @property
    def summary(self) -> Path:
        """The figures; those of the main layer stand in the study's own folder."""
        return (self.folder if self.layer == self.main_layer else self.features) / "summary.json"

    @property
    def responses(self) -> Path:
        return self.folder / "responses"

    @property
    def encoding(self) -> Path:
        return self.folder / "encoding"

    @property
    def steps(self) -> Path:
        """Records of the steps that all layers share."""
        return self.folder / "steps"

    @property
    def layer_steps(self) -> Path:
        """Records of the steps taken at this layer."""
        return self.steps / str(self.layer)


def resolve_shipped(path: str) -> Path:
    """The real path of ``shipped:NAME``."""
    target = (SHIPPED / path.removeprefix(SHIPPED_SCHEME)).resolve()
    if not target.is_relative_to(SHIPPED):
        raise InputError(f"{path!r}: leads outside the shipped data; name a file under data/")
    return target


def default_folder() -> Path:
    """The study meant when none is named: ``$SAEBRAIN_STUDY``, else the demo."""
    return Path(os.environ.get(STUDY_VARIABLE) or PROJECT / DEMO)

"""Maps of the cortex as figures and files, without a browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from saebrain.atomic import replacing
from saebrain.cli.shared import LayerOption, StudyArgument, console, open_study
from saebrain.errors import InputError
from saebrain.surface.atlas import Atlas, desikan_killiany
from saebrain.surface.figure import map_figure
from saebrain.surface.gifti import vertex_csv, write_func_gii
from saebrain.surface.mesh import Surfaces, fsaverage5
from saebrain.ui.viewer.html import viewer_html
from saebrain.ui.viewer.payload import ValueMap

WIDTH = 2400
"""Pixels: 8 inches at 300 dots per inch."""
KINDS = ("correlation", "t", "weight", "share")
_OUTPUT = "File to write: .png, .svg, .pdf, .gii (two files, a hemisphere each), .csv or .html (the interactive viewer)."
_KIND = "Of a feature: correlation, t (over subjects), weight or share (of variance) in the model of all features."
_VALUES = "Instead of a study's map: one .npy file of both hemispheres, or (given twice) a file of the left and one of the right hemisphere."


@dataclass(frozen=True, eq=False)
class Drawn:
    """A map with all that its files need."""

    shown: ValueMap
    title: str
    surfaces: Surfaces
    atlas: Atlas | None


def draw_map(
    study: StudyArgument = None,
    output: Annotated[Path, typer.Option("--output", "-o", help=_OUTPUT)] = Path("map.png"),
    feature: Annotated[int | None, typer.Option(help="Number of a feature.")] = None,
    selection: Annotated[str | None, typer.Option(help="Selection of features whose r to show, such as semantic/place.")] = None,
    part: Annotated[str, typer.Option(help="Of a selection: whole (prediction) or features (their part of it).")] = "whole",
    kind: Annotated[str, typer.Option(help=_KIND)] = "correlation",
    fdr: Annotated[float | None, typer.Option(help="Show a feature's correlation only where its false discovery rate is at most this.")] = None,
    subject: Annotated[str | None, typer.Option(help="One subject; the mean over all if left out.")] = None,
    surface: Annotated[str | None, typer.Option(help="inflated (where the mesh has it), pial, white or flat.")] = None,
    threshold: Annotated[float, typer.Option(help="Where the absolute value is below it, the folds are shown.")] = 0.0,
    vmax: Annotated[float | None, typer.Option(help="Value of the last colour.")] = None,
    one_sided: Annotated[bool, typer.Option("--one-sided", help="Colours from 0 instead of from -vmax.")] = False,
    colours: Annotated[str | None, typer.Option(help="blue-red or purple-green; one-sided: heat or sea.")] = None,
    outlines: Annotated[bool, typer.Option("--outlines", help="Draw the borders of parcels.")] = False,
    title: Annotated[str | None, typer.Option(help="Above the figure.")] = None,
    values: Annotated[list[Path] | None, typer.Option(help=_VALUES)] = None,
    label: Annotated[str, typer.Option(help="With --values: name of the colour bar, with the unit.")] = "value",
    mesh: Annotated[Path | None, typer.Option(help="With --values: folder of surfaces (FreeSurfer or GIFTI); fsaverage5 if left out.")] = None,
    labels: Annotated[list[Path] | None, typer.Option(help="With --mesh: .annot or .label.gii of the left and of the right.")] = None,
    layer: LayerOption = None,
) -> None:
    """Draw a map of the cortex into a file."""
    write = _writers.get(output.suffix.lower())
    if write is None:
        raise InputError(f"{output}: no known kind of file; choose a name that ends in {', '.join(_writers)}")
    if sum(given is not None for given in (feature, selection, values)) != 1:
        raise InputError("nothing to draw, or too much: give one of --feature, --selection and --values")
    if values is not None:
        drawn = _from_files(values, label, mesh, labels or [])
    elif feature is not None:
        drawn = _of_feature(study, layer, feature, kind, fdr, subject)
    else:
        drawn = _of_selection(study, layer, str(selection), part, subject)
    look = Style(
        surface or drawn.surfaces.shown(),
        max(threshold, drawn.shown.floor),
        vmax or drawn.shown.reach,
        one_sided,
        colours,
        outlines,
    )
    if title is not None:
        drawn = Drawn(drawn.shown, title, drawn.surfaces, drawn.atlas)
    for path in write(drawn, look, output):
        console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Style:
    """How a map is drawn."""

    surface: str
    threshold: float
    reach: float
    one_sided: bool
    colours: str | None
    outlines: bool


def _of_feature(folder: Path | None, layer: int | None, feature: int, kind: str, q: float | None, subject: str | None) -> Drawn:
    from saebrain.pipeline.feature_picture import feature_picture  # slow to load (scipy)
    from saebrain.pipeline.space import study_space

    study = open_study(folder, layer)
    if kind not in KINDS:
        raise InputError(f"kind {kind!r}: choose one of {', '.join(KINDS)}")
    if q is not None and not (0 < q <= 1 and kind == "correlation"):
        raise InputError(f"--fdr {q:g} for {kind}: it goes with correlation, and is above 0 and at most 1")
    picture = feature_picture(study, feature, kind, subject, q)
    note = " (simulated responses)" if study.simulated else ""
    shown = ValueMap(f"Feature {feature}", picture.values, picture.label, picture.reach, floor=picture.floor)
    space = study_space(study)
    return Drawn(shown, f"Feature {feature}, layer {study.layer}{note}", space.surfaces, space.atlas)


def _of_selection(folder: Path | None, layer: int | None, selection: str, part: str, subject: str | None) -> Drawn:
    from saebrain.pipeline.cortical import reach, selection_map
    from saebrain.pipeline.space import study_space

    study = open_study(folder, layer)
    if part not in ("whole", "features"):
        raise InputError(f"part {part!r}: choose whole or features")
    found = selection_map(study, selection, "features" if part == "features" else "whole")
    if subject is not None and subject not in found.subjects:
        raise InputError(f"subject {subject!r}: the study has {', '.join(found.subjects)}; choose one of them")
    values = found.of(subject)
    note = " (simulated responses)" if study.simulated else ""
    what = "r of the features' part" if part == "features" else "r"
    shown = ValueMap(selection, values, f"{what}, {subject or 'mean over subjects'}", reach(values))
    space = study_space(study)
    return Drawn(shown, f"{selection}, layer {study.layer}{note}", space.surfaces, space.atlas)


def _from_files(values: list[Path], label: str, mesh: Path | None, labels: list[Path]) -> Drawn:
    from saebrain.surface.files import read_atlas, read_map, read_surfaces
    from saebrain.surface.render import limits

    surfaces = fsaverage5() if mesh is None else read_surfaces(mesh)
    if labels and len(labels) != 2:
        raise InputError(f"--labels given {len(labels)} times: give the left file, then the right one")
    atlas = read_atlas(labels[0], labels[1], surfaces) if labels else desikan_killiany() if mesh is None else None
    found = read_map(values, surfaces)
    return Drawn(ValueMap(values[0].name, found, label, limits(found)[1]), "", surfaces, atlas)


def _figure(kind: str) -> Callable[[Drawn, Style, Path], list[Path]]:
    def write(drawn: Drawn, style: Style, output: Path) -> list[Path]:
        if style.outlines and drawn.atlas is None:
            raise InputError("outlines of parcels: this mesh has none; give --labels LEFT --labels RIGHT")
        figure = map_figure(
            drawn.shown.values,
            label=drawn.shown.label,
            title=drawn.title,
            surface=style.surface,
            threshold=style.threshold,
            vmin=0.0 if style.one_sided else None,
            vmax=style.reach,
            symmetric=not style.one_sided,
            colours=style.colours,
            outlines=drawn.atlas.labels if style.outlines and drawn.atlas is not None else None,
            width=WIDTH,
            background="white",
            surfaces=drawn.surfaces,
        )
        return _written(output, {"png": figure.png, "svg": figure.svg, "pdf": figure.pdf}[kind]())

    return write


def _gifti(drawn: Drawn, style: Style, output: Path) -> list[Path]:
    stem = output.with_name(output.name.removesuffix(".gii").removesuffix(".func"))
    return list(write_func_gii(drawn.shown.values, stem, drawn.title, drawn.surfaces))


def _csv(drawn: Drawn, style: Style, output: Path) -> list[Path]:
    return _written(output, vertex_csv(drawn.shown.values, _atlas(drawn), drawn.surfaces).encode())


def _html(drawn: Drawn, style: Style, output: Path) -> list[Path]:
    look = {
        "surface": style.surface,
        "threshold": style.threshold,
        "outlines": style.outlines,
        "range": style.reach,
        "sides": "one" if style.one_sided else None,
        "colours": style.colours,
    }
    page = viewer_html({"map": drawn.shown}, drawn.surfaces, _atlas(drawn), title=drawn.title or drawn.shown.name, look=look)
    return _written(output, page.encode())


def _atlas(drawn: Drawn) -> Atlas:
    """The atlas, or one without parcels."""
    import numpy as np

    return drawn.atlas or Atlas("none", (), np.full(drawn.surfaces.n_vertices, -1, np.int16))


def _written(output: Path, content: bytes) -> list[Path]:
    with replacing(output) as temporary:
        temporary.write_bytes(content)
    return [output]


_writers = {".png": _figure("png"), ".svg": _figure("svg"), ".pdf": _figure("pdf"), ".gii": _gifti, ".csv": _csv, ".html": _html}

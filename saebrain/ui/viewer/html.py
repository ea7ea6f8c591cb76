"""The interactive viewer as one HTML file that needs nothing else: for a talk or a supplement."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

from saebrain.surface.atlas import Atlas
from saebrain.surface.mesh import Surfaces
from saebrain.ui.viewer.code import viewer_code
from saebrain.ui.viewer.payload import State, SurfaceMap, mesh_bytes, view_bytes

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --st-text-color: light-dark(#222, #eee); --st-background-color: light-dark(#fff, #15171c);
  --st-secondary-background-color: light-dark(#f0f2f6, #262a33); --st-font: "Source Sans 3", system-ui, sans-serif; --st-primary-color: #2e5ccb; }}
body {{ margin: 1.5rem auto; max-width: 1300px; padding: 0 1rem; font-family: var(--st-font); color: var(--st-text-color);
  background: var(--st-background-color); }}
h1 {{ font-size: 1.3rem; }}
</style></head>
<body><h1>{title}</h1><div id="viewer"></div><p>{note}</p>
<noscript>This page draws a cortical surface with JavaScript and WebGL.</noscript>
<script>
{code}
const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
window.saebrain.takeMesh(bytes("{mesh}"));
window.saebrain.mount({{ parentElement: document.getElementById("viewer"), data: bytes("{view}") }});
</script></body></html>
"""


def viewer_html(
    maps: Mapping[str, SurfaceMap], surfaces: Surfaces, atlas: Atlas, *, title: str, note: str = "", look: Mapping[str, Any] | None = None
) -> str:
    """A page with the viewer, the mesh (1.4 MB for fsaverage5) and maps to leaf through; the first is shown.

    Parameters
    ----------
    look : mapping, optional
        As in `saebrain.ui.viewer.payload.State`.

    Raises
    ------
    InputError
        If a map does not fit the mesh.
    """
    mesh = mesh_bytes(surfaces, atlas, "mesh")
    around = {name: shown.name for name, shown in maps.items()}
    view = view_bytes(State("mesh", "", next(iter(maps)), around, look=look or {}), maps, surfaces)
    as_text = {"mesh": base64.b64encode(mesh).decode(), "view": base64.b64encode(view).decode()}
    return _PAGE.format(title=escape(title), note=escape(note), code=viewer_code(), **as_text)

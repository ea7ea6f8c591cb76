"""Pages stay fast because nothing that they do loads model code, on first sight or later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
import sys
from streamlit.testing.v1 import AppTest
from saebrain.ui.frame import FILES
app = AppTest.from_file("app.py", default_timeout=120).run()
for page in ("features", "cortex", "encoding"):
    app.switch_page(FILES[page]).run()
    assert not app.exception and (app.image or app.get("bidi_component")), page
app.switch_page(FILES["quality"]).run()
assert not app.exception and app.get("vega_lite_chart")
app.switch_page(FILES["topography"]).run()
assert not app.exception
app.switch_page(FILES["text"]).run()
assert not app.exception
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_drawing_every_page_loads_no_model_code(demo_study: Path) -> None:
    environment = {**os.environ, "SAEBRAIN_STUDY": str(demo_study)}
    result = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert "saebrain" in loaded
    assert loaded & {"torch", "transformers", "himalaya", "sklearn", "wordfreq"} == set()

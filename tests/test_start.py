"""Opening a page must be fast: nothing that a page imports at start may load model code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "himalaya"}
SCRIPTS = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]


def modules_after(code: str) -> set[str]:
    """Top-level names of all that a fresh Python has loaded after running some code."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def imports_of(script: Path) -> str:
    """The import statements at the top of a page, of the project and others; what is inside functions runs later."""
    found = [node for node in ast.parse(script.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(ast.unparse(node) for node in found if not (isinstance(node, ast.ImportFrom) and node.module == "__future__"))


def test_pages_and_user_interface_load_no_model_code() -> None:
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "saebrain" / "ui").rglob("*.py"))]
    assert SCRIPTS[1:] and modules, "pages or saebrain/ui is empty"
    imports = [*map(imports_of, SCRIPTS), *(f"import {module.removesuffix('.__init__')}" for module in modules)]
    assert modules_after("\n".join(imports)) & HEAVY == set()


def test_heavy_imports_are_noticed() -> None:
    assert "sklearn" in modules_after("import sklearn")

"""Packages are installed by uv or by pip, from where pip was told to look."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tools import install

LISTED = """\
:env:.cert='/certificates.pem'
:env:.find-links='/near /far'
global.find-links='/elsewhere'
global.index-url='https://packages.example/simple'
global.no-cache-dir='1'
install.extra-index-url='file:///one file:///two'
install.index-url='https://mine.example/simple'
install.no-index='false'
wheel.find-links='/only for pip wheel'
"""


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with one package, which asks for another that is nowhere."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    about = "Metadata-Version: 2.1\nName: lighthouse\nVersion: 1.2\nRequires-Dist: no-such-harbour\n"
    parts = {"METADATA": about, "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    names = ["lighthouse.py", *(f"lighthouse-1.2.dist-info/{name}" for name in (*parts, "RECORD"))]
    with zipfile.ZipFile(folder / "lighthouse-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(names[0], "LIT = True\n")
        for name, text in parts.items():
            wheel.writestr(f"lighthouse-1.2.dist-info/{name}", text)
        wheel.writestr(names[-1], "".join(f"{name},,\n" for name in names))
    (tmp_path / "requirements.txt").write_text("lighthouse>=1,<2\n")
    return folder


@pytest.fixture
def offline(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pip is told to look into that folder and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels.parent / "requirements.txt"


def lit(python: Path) -> bool:
    return subprocess.run([python, "-c", "import lighthouse; assert lighthouse.LIT"], capture_output=True).returncode == 0


def test_uv_installs_from_where_pip_looks(offline: Path, tmp_path: Path) -> None:
    """Into an environment without pip, so that nothing else can have done it."""
    venv.create(tmp_path / "fresh")
    python = tmp_path / "fresh" / "bin" / "python"
    assert not lit(python)
    assert install.with_uv(python, ["--no-deps", "-r", str(offline)])
    assert lit(python)


def test_what_uv_cannot_install_is_said(offline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    venv.create(tmp_path / "fresh")
    assert not install.with_uv(tmp_path / "fresh" / "bin" / "python", ["-r", str(offline)])
    said = capsys.readouterr().err
    assert "now pip tries" in said and "no-such-harbour" in said


def test_without_uv_pip_installs(offline: Path, tmp_path: Path) -> None:
    """An environment in which uv is neither installed nor to be had."""
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    command = [str(python), install.__file__, "--no-deps", "-r", str(offline)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert lit(python)


def test_a_package_that_is_nowhere_fails(offline: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("no-such-harbour\n")
    result = subprocess.run([sys.executable, install.__file__, "-r", str(tmp_path / "other.txt")], capture_output=True, text=True)
    assert result.returncode != 0
    assert "No matching distribution found for no-such-harbour" in result.stderr


def test_settings_of_pip_become_those_of_uv() -> None:
    settings = install.read_settings(LISTED)
    assert settings == {
        "cert": "/certificates.pem",
        "find-links": "/near /far",
        "index-url": "https://mine.example/simple",
        "no-index": "false",
        "no-cache-dir": "1",
        "extra-index-url": "file:///one file:///two",
    }
    said = " ".join(install.uv_options(settings))
    assert "--default-index https://mine.example/simple --index file:///one --index file:///two --find-links /near --find-links /far" in said
    assert "--no-cache" in said and "--no-index" not in said
    assert install.uv_environment(settings, {"HOME": "/home"}) == {"SSL_CERT_FILE": "/certificates.pem", "HOME": "/home"}
    assert install.uv_environment(settings, {"SSL_CERT_FILE": "/other"}) == {"SSL_CERT_FILE": "/other"}

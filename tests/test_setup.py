"""The commands a newcomer types: what they would do, and what they say where they cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
SETTINGS = {"DISPLAY", "WAYLAND_DISPLAY", "PORT", "ADDRESS", "PYTHON", "ARGS"}
REQUIREMENT_FILES = ["requirements.txt", "requirements-demo.txt", "requirements-dev.txt", "requirements-peers.txt"]


def make(*arguments: str, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run make as on a machine without a display, unless one is given."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS and not name.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=cwd, env=inherited | (environment or {}), capture_output=True, text=True)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A checkout's set-up files, with nothing installed."""
    for name in ["Makefile", *REQUIREMENT_FILES]:
        shutil.copy2(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def installed(fresh: Path) -> Path:
    """The same after an install: the stamps are there, newer than the requirements."""
    (fresh / ".venv").mkdir()
    for stamp in ["created", "installed", "installed-dev"]:
        (fresh / ".venv" / stamp).touch()
    return fresh


def requirements(name: str) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def test_run_from_nothing_installs_builds_and_serves(fresh: Path) -> None:
    steps = make("-n", "run", cwd=fresh).stdout
    expected = ["-m venv", "-r requirements.txt", "--no-deps -r requirements-demo.txt", "-m saebrain demo", "-m saebrain dashboard --port=8501"]
    positions = [steps.find(step) for step in expected]
    assert -1 not in positions and positions == sorted(positions), steps
    assert "requirements-dev.txt" not in steps


def test_run_again_installs_nothing(installed: Path) -> None:
    steps = make("-n", "run", cwd=installed).stdout
    assert "install.py" not in steps and "venv " not in steps and "saebrain dashboard" in steps


def test_changed_requirements_are_installed(installed: Path) -> None:
    later = (installed / ".venv" / "installed").stat().st_mtime + 10
    os.utime(installed / "requirements-demo.txt", (later, later))
    steps = make("-n", "run", cwd=installed).stdout
    assert "requirements-demo.txt" in steps and "-m venv" not in steps


def test_test_installs_development_packages_and_a_browser(fresh: Path) -> None:
    steps = make("-n", "test", cwd=fresh).stdout
    packages = ["-r requirements.txt", "-r requirements-dev.txt", "--no-deps -r requirements-peers.txt"]
    expected = [*packages, "tools/find_browser.py --install", "-m pytest"]
    positions = [steps.find(step) for step in expected]
    assert -1 not in positions and positions == sorted(positions), steps


def test_port_and_address_are_honoured() -> None:
    assert "--port=9000" in make("-n", "run", environment={"PORT": "9000"}).stdout
    assert "--port=9001" in make("-n", "run", "PORT=9001").stdout
    assert "--address" not in make("-n", "run").stdout
    assert "--address=0.0.0.0" in make("-n", "run", "ADDRESS=0.0.0.0").stdout


def stub_python(folder: Path, version: tuple[int, int], ensurepip: bool) -> Path:
    """A python3 that claims a version, with or without what a virtual environment needs."""
    path = folder / "python3"
    setup = f"import sys; sys.version_info = {(*version, 0)}; sys.modules.update({{}} if {ensurepip} else {{'ensurepip': None}}); exec(sys.argv[1])"
    path.write_text(f'#!/bin/sh\nshift\nexec "{sys.executable}" -c "{setup}" "$@"\n')
    path.chmod(0o755)
    return path


def last_words(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that is not make's own."""
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    return line


def test_old_python_is_refused_in_one_line(fresh: Path, tmp_path: Path) -> None:
    result = make("demo", f"PYTHON={stub_python(tmp_path, (3, 9), ensurepip=True)}", cwd=fresh)
    assert result.returncode != 0 and "needs Python 3.11 or newer" in last_words(result) and "is 3.9" in last_words(result)
    assert not (fresh / ".venv").exists()


def test_missing_venv_names_the_package(fresh: Path, tmp_path: Path) -> None:
    result = make("demo", f"PYTHON={stub_python(tmp_path, (3, 12), ensurepip=False)}", cwd=fresh)
    assert result.returncode != 0 and "apt-get install python3.12-venv" in last_words(result)


def test_missing_python_says_so(fresh: Path) -> None:
    result = make("demo", "PYTHON=no-such-python", cwd=fresh)
    assert result.returncode != 0 and "no no-such-python here" in last_words(result)


def test_help_lists_every_command() -> None:
    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    shown = make("help").stdout
    assert [target for target in targets if f"make {target} " not in shown] == []
    assert make().stdout == shown


@pytest.mark.parametrize("name", REQUIREMENT_FILES)
def test_requirements_are_pinned_ranges(name: str) -> None:
    for requirement in requirements(name):
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators in ({">=", "<"}, {"=="}), f"{name}: {requirement}"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-demo.txt", "requirements-peers.txt"])
def test_requirements_hold_here(name: str) -> None:
    for requirement in requirements(name):
        assert requirement.specifier.contains(version(requirement.name)), f"{name}: {requirement}, installed {version(requirement.name)}"


def test_ci_runs_the_checks_and_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = re.findall(r"^make (\w+)$", script.read_text(), re.MULTILINE)
    assert commands == ["lint", "test"]
    assert subprocess.run(["bash", "-n", script]).returncode == 0


def test_dashboard_serves_this_machine_only_and_asks_nothing() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "localhost" and config["server"]["showEmailPrompt"] is False
    assert config["browser"]["gatherUsageStats"] is False

"""Finding and installing the browser of the tests: real programs stand in for browsers that start, fail or are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import find_browser
from tools.find_browser import BrowserError, find, find_or_install, starts

ROOT = Path(__file__).parent.parent


def program(path: Path, exit_status: int = 0) -> Path:
    path.write_text(f"#!/bin/sh\nexit {exit_status}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without browsers, whose PATH is one empty folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(find_browser.VARIABLE, raising=False)
    monkeypatch.setattr(find_browser, "MAC_NAMES", ())
    monkeypatch.setattr(find_browser, "of_playwright", list)
    return folder


def test_browser_must_start(tmp_path: Path) -> None:
    assert starts(program(tmp_path / "works"))
    assert not starts(program(tmp_path / "stub", exit_status=1))
    assert not starts(tmp_path / "missing")


def test_stub_is_passed_over(bare_machine: Path) -> None:
    program(bare_machine / "chromium", exit_status=1)
    chrome = program(bare_machine / "google-chrome")
    assert find() == chrome


def test_environment_names_the_browser(bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare_machine / "chromium")
    chosen = program(tmp_path / "my-browser")
    monkeypatch.setenv(find_browser.VARIABLE, str(chosen))
    assert find() == chosen
    chosen.unlink()
    with pytest.raises(BrowserError, match=r"my-browser is not a browser that starts"):
        find_or_install()


def test_no_browser_says_how_to_get_one(bare_machine: Path) -> None:
    with pytest.raises(BrowserError, match="apt-get install chromium"):
        find()


def test_second_way_is_tried_when_the_first_fails(bare_machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    fail = [sys.executable, "-c", "raise SystemExit('no network')"]
    write = f"import pathlib; p = pathlib.Path({str(bare_machine / 'chromium')!r}); p.write_text('#!/bin/sh\\n'); p.chmod(0o755)"
    monkeypatch.setattr(find_browser, "playwright_steps", lambda: [(fail, 10)])
    monkeypatch.setattr(find_browser, "apt_steps", lambda: [([sys.executable, "-c", write], 10)])
    assert find_or_install() == bare_machine / "chromium"
    assert "failed: no network" in capfd.readouterr().err


def test_every_way_failing_is_an_error(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_browser, "playwright_steps", lambda: [([str(bare_machine / "missing")], 10)])
    monkeypatch.setattr(find_browser, "apt_steps", list)
    with pytest.raises(BrowserError, match="apt-get install chromium"):
        find_or_install()


def test_apt_is_for_root_only(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare_machine / "apt-get")
    monkeypatch.setattr(find_browser.os, "geteuid", lambda: 1000)
    assert find_browser.apt_steps() == []
    monkeypatch.setattr(find_browser.os, "geteuid", lambda: 0)
    assert [command[-1] for command, _ in find_browser.apt_steps()] == ["update", "chromium"]


def test_command_line_prints_the_path_alone(tmp_path: Path) -> None:
    chosen = program(tmp_path / "browser")
    command = [sys.executable, "tools/find_browser.py"]
    result = subprocess.run(command, cwd=ROOT, env={find_browser.VARIABLE: str(chosen)}, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, f"{chosen}\n")
    chosen.unlink()
    result = subprocess.run(command, cwd=ROOT, env={find_browser.VARIABLE: str(chosen)}, capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout == "" and result.stderr.count("\n") == 1

"""Find a Chromium or Chrome for the browser tests and print its path; with ``--install``, get one when there is none.

Looked at, in this order: ``$SAEBRAIN_BROWSER``, the browsers of this machine, Playwright's own Chromium.
Then, with ``--install``: ``playwright install chromium``, and as root ``apt-get install chromium``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "SAEBRAIN_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_NAMES = ("Google Chrome", "Chromium")
HINT = f"no Chromium or Chrome here; run as root: apt-get install chromium (or set {VARIABLE} to the path of one)"
DOWNLOAD_TIMEOUT_S = 300
APT_TIMEOUT_S = 600


class BrowserError(Exception):
    """There is no browser that starts; the message says what to do."""


def find() -> Path:
    """Path of a browser that starts. Raises BrowserError when there is none."""
    if chosen := os.environ.get(VARIABLE):
        if starts(Path(chosen)):
            return Path(chosen)
        raise BrowserError(f"{VARIABLE}={chosen} is not a browser that starts; name one that is, or unset it")
    for candidates in (on_this_machine, of_playwright):
        for path in candidates():
            if starts(path):
                return path
    raise BrowserError(HINT)


def find_or_install() -> Path:
    """As :func:`find`, after installing a browser when there is none. Raises BrowserError when that fails too."""
    try:
        return find()
    except BrowserError:
        if os.environ.get(VARIABLE):
            raise
    for steps in (playwright_steps(), apt_steps()):
        if steps and all(succeeds(command, timeout_s) for command, timeout_s in steps):
            try:
                return find()
            except BrowserError:
                continue
    raise BrowserError(HINT)


def on_this_machine() -> list[Path]:
    """Installed browsers, whether they start or not (Ubuntu's chromium-browser may be a stub that only names a snap)."""
    found = [Path(path) for name in NAMES if (path := shutil.which(name))]
    applications = [Path(f"/Applications/{name}.app/Contents/MacOS/{name}") for name in MAC_NAMES]
    return found + [path for path in applications if path.is_file()]


def of_playwright() -> list[Path]:
    """Playwright's own Chromium, if Playwright is installed and has downloaded one."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return [path] if path.is_file() else []


def starts(path: Path) -> bool:
    """Whether the browser can say its version: false for stubs and where shared libraries are missing."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def playwright_steps() -> list[tuple[Sequence[str], int]]:
    """Commands, each with its time limit in seconds, that download Playwright's Chromium."""
    return [((sys.executable, "-m", "playwright", "install", "chromium"), DOWNLOAD_TIMEOUT_S)]


def apt_steps() -> list[tuple[Sequence[str], int]]:
    """Commands, each with its time limit in seconds, that install Debian's Chromium; none unless root on such a system."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return []
    quiet = (apt, "-qq", "-o", "DPkg::Lock::Timeout=120")
    return [((*quiet, "update"), APT_TIMEOUT_S), ((*quiet, "install", "-y", "--no-install-recommends", "chromium"), APT_TIMEOUT_S)]


def succeeds(command: Sequence[str], timeout_s: int) -> bool:
    """Run a command, telling on stderr what is run and the last line of what went wrong."""
    print("Browser for the tests:", " ".join(command), file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  failed: {error}", file=sys.stderr)
        return False
    if result.returncode != 0:
        print(f"  failed: {(result.stderr.strip() or 'no message').splitlines()[-1].strip()}", file=sys.stderr)
    return result.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the path of a Chromium or Chrome for the browser tests.")
    parser.add_argument("--install", action="store_true", help="install one when there is none")
    arguments = parser.parse_args()
    try:
        print(find_or_install() if arguments.install else find())
    except BrowserError as error:
        sys.exit(f"saebrain: {error}")


if __name__ == "__main__":
    main()

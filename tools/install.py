"""Install packages into this Python's environment: ``python tools/install.py [--no-deps] -r requirements.txt``.

uv does it, in a fraction of pip's time; where uv cannot be had or fails, pip does. What pip has been told (indexes, folders of
wheels, certificates, a proxy; by ``pip config`` or ``PIP_...`` variables) holds for both.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

UV = "uv>=0.8,<1"
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
SOURCES = {"index-url": "--default-index", "extra-index-url": "--index", "find-links": "--find-links", "trusted-host": "--allow-insecure-host"}
"""Settings of pip that hold one or several values, and uv's options for each value."""
SWITCHES = {"no-index": "--no-index", "no-cache-dir": "--no-cache"}
VARIABLES = {"cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY", "default-timeout": "UV_HTTP_TIMEOUT", "timeout": "UV_HTTP_TIMEOUT"}
"""Settings of pip that uv takes from its environment."""
SECTIONS = ("global", "install", ":env:")
"""What ``pip install`` reads of its settings; later ones win."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Install packages with uv, or with pip where there is no uv.")
    parser.add_argument("--no-deps", action="store_true", help="not what the packages ask for")
    parser.add_argument("-r", dest="files", action="append", required=True, metavar="FILE", help="requirements")
    arguments = parser.parse_args()
    wanted = [*(["--no-deps"] if arguments.no_deps else []), *(part for file in arguments.files for part in ("-r", file))]
    sys.exit(0 if with_uv(Path(sys.executable), wanted) else with_pip(wanted))


def with_uv(python: Path, wanted: Sequence[str]) -> bool:
    """Install into the environment of ``python``; false, with the reason on stderr, where that did not succeed."""
    if pip("install", "-qq", UV).returncode != 0:
        return False
    settings = read_settings(pip("config", "list").stdout)
    options = uv_options(settings)
    fixed = ["--quiet", "--no-progress", "--python", str(python)]
    command = [sys.executable, "-m", "uv", "pip", "install", *fixed, *options, *wanted]
    result = subprocess.run(command, env=uv_environment(settings, os.environ), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        print(f"uv did not install {' '.join(wanted)}; now pip tries. uv said:\n{result.stderr.strip()}", file=sys.stderr)
    return result.returncode == 0


def with_pip(wanted: Sequence[str]) -> int:
    """Exit status of pip, which says itself what is wrong."""
    return subprocess.run([sys.executable, *PIP, "install", "-qq", *wanted], stdin=subprocess.DEVNULL).returncode


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *PIP, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)


def read_settings(listed: str) -> dict[str, str]:
    """What ``pip config list`` prints, as ``section.name='value'`` a line: the value that wins of each."""
    found: dict[str, tuple[int, str]] = {}
    for line in listed.splitlines():
        key, equals, value = line.partition("=")
        section, dot, name = key.rpartition(".")
        if not equals or not dot or section not in SECTIONS:
            continue
        said = (SECTIONS.index(section), str(ast.literal_eval(value)))
        found[name] = max(said, found.get(name, said), key=lambda one: one[0])
    return {name: value for name, (_, value) in found.items()}


def uv_options(settings: Mapping[str, str]) -> list[str]:
    """The settings as options of uv. Like pip, it takes the best version of all indexes, not that of the first that has one."""
    options = ["--index-strategy", "unsafe-best-match"]
    for name, option in SOURCES.items():
        options += [part for value in settings.get(name, "").split() for part in (option, value)]
    return options + [option for name, option in SWITCHES.items() if settings.get(name, "").lower() in ("1", "true", "yes", "on")]


def uv_environment(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that uv takes from its environment, where nothing is there yet."""
    told = {variable: settings[name] for name, variable in VARIABLES.items() if name in settings}
    return told | dict(environment)


if __name__ == "__main__":
    main()

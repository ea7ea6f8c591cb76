"""Files are written complete or not at all."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from saebrain.atomic import replacing, write_json

ROOT = Path(__file__).parent.parent


def test_a_file_appears_under_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "result.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # on the same file system, where a rename is atomic
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file_and_nothing_else(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")
    code = "\n".join(
        (
            "import os, sys",
            "from pathlib import Path",
            "from saebrain.atomic import replacing",
            "with replacing(Path(sys.argv[1])) as temporary:",
            "    temporary.write_text('half')",
            "    os._exit(9)",
        )
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False).returncode == 9
    assert path.read_text() == "old"


def test_threads_do_not_write_into_one_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    together = threading.Barrier(8)
    failures: list[Exception] = []

    def write(number: int) -> None:
        try:
            with replacing(path) as temporary, temporary.open("w") as file:
                file.write(f"{number}" * 500)
                together.wait()
                file.write(f"{number}" * 500)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    text = path.read_text()
    assert len(text) == 1000
    assert len(set(text)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_readable_and_strict(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"name": "Größe", "r": 0.5})
    assert path.read_text(encoding="utf-8") == '{\n  "name": "Größe",\n  "r": 0.5\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"r": float("nan")})
    assert '"r": 0.5' in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_can_be_read_by_whom_the_user_lets_read(tmp_path: Path) -> None:
    """Whatever mode the writer gives it."""
    with replacing(tmp_path / "file") as temporary:
        temporary.unlink()
        temporary.write_text("")
        temporary.chmod(0o600)
    (tmp_path / "other").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode

"""The process that reads texts: what it answers, how it is bounded, cancelled and mourned."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from saebrain.errors import InputError
from saebrain.pipeline.feature_worker import ENDED, MOST_CHARACTERS, Answer, Worker
from saebrain.store import FeatureStore, read_table
from saebrain.study import Study

PATIENCE_S = 120


@pytest.fixture(scope="module")
def worker(demo_study: Path) -> Iterator[Worker]:
    made = Worker(demo_study)
    yield made
    made.stop()


def ended(worker: Worker, number: int) -> Answer:
    deadline = time.monotonic() + PATIENCE_S
    while worker.answer(number).state not in ENDED:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return worker.answer(number)


def test_the_study_s_own_text_gets_its_own_codes(worker: Worker, demo_study: Path) -> None:
    study = Study.open(demo_study)
    tokens = read_table(study.tokens, "", ["run", "text"])
    count = 60
    text = "".join(tokens["text"].iloc[:count])
    answer = ended(worker, worker.ask(study.layer, text))
    assert answer.state == "done" and answer.tokens == tokens["text"].iloc[:count].tolist()
    store = FeatureStore(study.features, study.tokens, study.labels)
    codes = {(f, t): v for f, t, v in zip(answer.feature, answer.token, answer.value, strict=True)}
    for feature in np.unique(answer.feature)[:40].tolist():
        token, value = store.codes(feature)
        for t, v in zip(token[token < count].tolist(), value[token < count].tolist(), strict=True):
            if v > 1:  # what is weak may fall out of the top k by a rounding error
                assert codes[feature, t] == pytest.approx(v, rel=0.05)


def test_process_is_kept_and_texts_of_all_scripts_come_back(worker: Worker) -> None:
    ended(worker, worker.ask(15, "one"))
    before = worker.pid
    for text in ("東京 <b>&amp;</b>", "السلام عليكم", "👩‍🚀 e\u0301", "a\nb\tc", " "):
        if text.strip():
            assert "".join(ended(worker, worker.ask(5, text)).tokens) == text
    assert worker.pid == before


def test_texts_are_bounded(worker: Worker) -> None:
    with pytest.raises(InputError, match="no text; type or paste some"):
        worker.ask(15, " \n")
    with pytest.raises(InputError, match=f"at most {MOST_CHARACTERS:,}; shorten it"):
        worker.ask(15, "x" * (MOST_CHARACTERS + 1))
    answer = ended(worker, worker.ask(15, "x " * 1500))
    assert answer.state == "failed" and "between 1 and 512 can be read; shorten it" in answer.message


def test_unknown_layer_is_told(worker: Worker) -> None:
    answer = ended(worker, worker.ask(3, "one"))
    assert answer.state == "failed" and answer.message.startswith("layer 3: this study has the layers 5, 15, 25")


def test_cancelled_text_stops_the_process_and_the_next_starts_another(demo_study: Path) -> None:
    worker = Worker(demo_study)
    first, second = worker.ask(15, "one"), worker.ask(15, "two")
    pid = worker.pid
    assert pid is not None
    worker.cancel(first)
    assert worker.answer(first).state == "cancelled"
    assert worker.answer(second).state == "failed" and "send the text again" in worker.answer(second).message
    assert [worker.pid] == [None] and not psutil.pid_exists(pid)
    worker.cancel(first)
    third = worker.ask(15, "three")
    assert worker.pid not in (None, pid)
    worker.stop()
    assert worker.answer(third).state == "failed"


def test_process_that_dies_is_told(demo_study: Path) -> None:
    worker = Worker(demo_study)
    number = worker.ask(15, "one")
    assert worker.pid is not None
    psutil.Process(worker.pid).kill()
    answer = ended(worker, number)
    assert answer.state == "failed" and "the model's process ended (code -9)" in answer.message


def test_study_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    assert ended(worker, worker.ask(15, "one")).state == "failed"

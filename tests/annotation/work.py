"""What tests of annotation share: planned queues, and answers to them."""

from __future__ import annotations

import pandas as pd

from saebrain.annotation import answers
from saebrain.annotation.log import Receipt
from saebrain.annotation.queues import Desk, claim, plan
from saebrain.taxonomy import Codebook


def planned(desk: Desk, *, overlap: int = 0, random: int = 0, impact: int = 0, seats: int = 2) -> None:
    """Plan features 0, 1, ...: the first for several people, the next for one, the last for impact."""
    queues = ["overlap"] * overlap + ["random"] * random + ["impact"] * impact
    wanted = pd.DataFrame(
        {"queue": queues, "feature": range(len(queues)), "stratum": "rare, semantic", "place": [i / 10 for i in range(len(queues))]}
    )
    plan(desk, wanted.assign(seats=[seats if queue == "overlap" else 1 for queue in queues]))


def say(desk: Desk, codebook: Codebook, annotator: str, path: str) -> Receipt:
    """Label the next feature."""
    (ticket,) = claim(desk, annotator)
    return answers.label(desk, codebook, annotator, ticket, path, confidence=3, seconds=1.5)


def say_all(desk: Desk, codebook: Codebook, annotator: str, *paths: str) -> list[Receipt]:
    """Label the next features."""
    return [say(desk, codebook, annotator, path) for path in paths]

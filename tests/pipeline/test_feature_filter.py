"""The filter box for experts: what it finds, and all that it must not let through."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from saebrain.errors import InputError
from saebrain.pipeline import feature_filter
from saebrain.pipeline.feature_filter import LONGEST, ExpertFilter

ROWS = pd.DataFrame(
    {
        "density": [0.1, 0.01, 0.001, 0.0],
        "max": [1.0, 5.0, 9.0, 0.0],
        "label": ["semantic/place", "lexical", "semantic", "unclear"],
        "parcel": ["left insula", None, "right insula", None],
        "agree": [True, False, True, True],
        "secret": ["a", "b", "c", "d"],
    },
    index=[7, 8, 9, 12],
)


@pytest.fixture(scope="module")
def expert() -> ExpertFilter:
    return ExpertFilter(ROWS, ["density", "max", "label", "parcel", "agree"])


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("density < 0.05", [8, 9, 12]),
        ("density < 0.05 and label like 'sem%'", [9]),
        ("density between 0.005 and 0.5 or not agree", [7, 8]),
        ("feature in (7, 12, 99)", [7, 12]),
        ("parcel is null", [8, 12]),
        ("parcel is not null and lower(parcel) not like '%right%'", [7]),
        ("LABEL ILIKE 'SEMANTIC%' AND contains(label, '/')".replace("LABEL", "label"), [7]),
        ("max > 2 * density + 4", [8, 9]),
        ("case when agree then max else 0 end > 0.5", [7, 9]),
        ("abs(max - 5)::integer = 4 and label = 'semantic/place'", [7]),
        ("label = 'it''s -- not a comment'", []),
        ("true", [7, 8, 9, 12]),
    ],
)
def test_conditions(expert: ExpertFilter, condition: str, found: list[int]) -> None:
    np.testing.assert_array_equal(expert.run(condition), found)


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "density <",
        "secret = 'a'",
        "list.density > 0",
        "density > 0); drop table list; --",
        "density > 0; select 1",
        "1 = 1) union select 1 --",
        "1 = 1) order by (density",
        "1 = 1) limit (1",
        "1 = 1) group by (density) having (true",
        "density > 0) qualify (true",
        "feature in (select 1)",
        "feature in (select feature from read_csv('/etc/passwd'))",
        "exists (select * from read_text('/etc/hostname'))",
        "(select count(*) from glob('/*')) > 0",
        "label = (select content from read_text('/etc/passwd'))",
        "feature in (from list select feature)",
        "getenv('HOME') = 'x'",
        "current_setting('threads') = '1'",
        "version() like '%'",
        "pg_catalog.lower(label) = 'x'",
        "regexp_matches(label, '(a+)+')",
        "repeat(label, 1000000000) = 'x'",
        "length(rpad(label, 1000000000, 'x')) > 1",
        "sum(density) over () > 1",
        "count(*) > 1",
        "random() > 0.5",
        "[x for x in range(10)] = []",
        "list_transform([1], x -> x) = [1]",
        "label = ?",
        "label = $1",
        "columns(*) is not null",
        "* is null",
        "label::blob = ''",
        "cast(label as json) = '1'",
        "nextval('x') > 0",
        "max > 0 tablesample 10%",
    ],
)
def test_everything_else_is_refused(expert: ExpertFilter, condition: str) -> None:
    with pytest.raises(InputError) as refused:
        expert.run(condition)
    assert "\n" not in str(refused.value) and str(refused.value).startswith("filter")


def test_messages_say_what_there_is(expert: ExpertFilter) -> None:
    with pytest.raises(InputError, match="no column secret; there are agree, density, feature, label, max, parcel"):
        expert.run("secret = 'a'")
    with pytest.raises(InputError, match="no function getenv; there are abs, "):
        expert.run("getenv('HOME') = 'x'")
    with pytest.raises(InputError, match=f"filter of {LONGEST + 3} characters: at most {LONGEST}"):
        expert.run("1 =" + " " * LONGEST)
    with pytest.raises(InputError, match="Cannot compare values of type VARCHAR"):
        expert.run("label > 3")


def test_table_is_still_there_and_no_file_can_be_read(expert: ExpertFilter) -> None:
    assert len(expert.run("true")) == len(ROWS)
    for statement in (
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY list TO '/tmp/list.csv'",
        "ATTACH '/tmp/x.db'",
        "SET enable_external_access = true",
    ):
        with pytest.raises(Exception, match=r"disabled|locked|Cannot|configuration"):
            expert._connection.execute(statement)


def test_slow_condition_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_filter, "SECONDS", 0.05)
    many = pd.DataFrame({"label": ["a" * 400] * 300_000})
    began = time.monotonic()
    with pytest.raises(InputError, match="took longer than"):
        ExpertFilter(many, ["label"]).run(" or ".join(["label like '%a%a%a%a%ab%'"] * 15))
    assert time.monotonic() - began < 20

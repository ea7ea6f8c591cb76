"""The filter box for experts: the part after WHERE of a SQL query over the list of features, and nothing else.

The text is parsed by DuckDB itself, and what is run is the very statement whose syntax tree was looked at: every node must be
of a known kind, every column one of the list's, every function one of a few that only compute. The connection that runs it
knows no files and one table.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int

from saebrain.codes import first_line
from saebrain.errors import InputError

LONGEST = 500
SECONDS = 2.0
"""What a filter may take before it is stopped."""
FUNCTIONS = frozenset(
    {"abs", "ceil", "contains", "ends_with", "floor", "greatest", "least", "length", "ln", "log10", "lower", "prefix", "round", "sqrt"}
    | {"starts_with", "suffix", "trim", "upper", "~~", "!~~", "~~*", "!~~*", "+", "-", "*", "/", "%", "||"}
)
_OPERATORS = frozenset(
    {"OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_COALESCE", "OPERATOR_NULLIF"}
)
_CLASSES = frozenset({"BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "OPERATOR"})
_TYPES = frozenset({"BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "FLOAT", "VARCHAR"})
_STATEMENT = "SELECT feature FROM list WHERE ({})"


class ExpertFilter:
    """The list of features as a table that filters are run on. Threads may share it."""

    def __init__(self, rows: pd.DataFrame, columns: Sequence[str]) -> None:
        """``rows`` has the feature number as its index; ``columns`` are those that a filter may name, besides ``feature``."""
        self.columns = ("feature", *columns)
        self._connection = duckdb.connect(config={"enable_external_access": "false", "threads": "1", "memory_limit": "256MB"})
        content = pa.Table.from_pandas(rows.rename_axis("feature").reset_index()[list(self.columns)], preserve_index=False)
        self._connection.register("list", content)
        self._connection.execute("SET lock_configuration = true")
        self._lock = threading.Lock()

    def run(self, condition: str) -> Int[np.ndarray, " features"]:
        """Features that meet a condition such as ``density < 0.01 and parcel like 'left%'``, ascending.

        Raises
        ------
        InputError
            Naming what is not understood, not allowed or not there.
        """
        statement = _STATEMENT.format(condition)
        with self._lock:
            self._check(condition, statement)
            timer = threading.Timer(SECONDS, self._connection.interrupt)
            timer.start()
            try:
                found = self._connection.execute(statement).fetchnumpy()["feature"]
            except duckdb.InterruptException:
                raise InputError(f"filter {condition[:80]!r}: took longer than {SECONDS:g} s; make it simpler") from None
            except duckdb.Error as error:
                raise InputError(f"filter {condition[:80]!r}: {first_line(error)}; mend it") from None
            finally:
                timer.cancel()
        return np.sort(np.asarray(found, np.int64))

    def _check(self, condition: str, statement: str) -> None:
        if len(condition) > LONGEST:
            raise InputError(f"filter of {len(condition):,} characters: at most {LONGEST}; make it shorter")
        try:
            (answer,) = self._connection.execute("SELECT json_serialize_sql(?, skip_null := true, skip_empty := true)", [statement]).fetchone() or (
                "{}",
            )
            tree = json.loads(answer)
        except (duckdb.Error, ValueError) as error:
            raise InputError(f"filter {condition[:80]!r}: not understood ({first_line(error)}); mend it") from None
        if tree.get("error") is not False:
            why = first_line(Exception(tree.get("error_message", "no condition")))
            raise InputError(f"filter {condition[:80]!r}: {why}; write a condition such as density < 0.01 and label like 'semantic%'")
        for problem in _problems(tree["statements"], frozenset(self.columns)):
            raise InputError(f"filter {condition[:80]!r}: {problem}")


def _problems(statements: list[dict[str, Any]], columns: frozenset[str]) -> Iterator[str]:
    """What a filter may not hold."""
    nodes = [statement.get("node", {}) for statement in statements]
    whole = {"type", "cte_map", "select_list", "from_table", "where_clause", "aggregate_handling"}
    if len(nodes) != 1 or nodes[0].get("type") != "SELECT_NODE" or set(nodes[0]) - whole or nodes[0].get("cte_map"):
        yield "more than a condition; write only what stands after WHERE"
        return
    if nodes[0]["from_table"].get("type") != "BASE_TABLE" or nodes[0]["from_table"].get("table_name") != "list" or len(nodes[0]["select_list"]) != 1:
        yield "more than a condition; write only what stands after WHERE"
        return
    yield from _expression(nodes[0]["where_clause"], columns)


def _expression(node: Any, columns: frozenset[str]) -> Iterator[str]:
    """Walk through a syntax tree; whatever has a class is an expression, and everything below it is walked through too."""
    if isinstance(node, list):
        for part in node:
            yield from _expression(part, columns)
    if not isinstance(node, dict):
        return
    kind, name = node.get("class"), str(node.get("type"))
    if kind == "TYPE":
        if node.get("type_name") not in _TYPES:
            yield f"no values of type {node.get('type_name')}; there are {', '.join(sorted(_TYPES))}"
        return
    if kind is not None and kind not in _CLASSES:
        yield f"{str(kind).lower().replace('_', ' ')} is not allowed; compare columns with values, joined by and, or, not"
    elif kind == "OPERATOR" and name not in _OPERATORS:
        yield f"{name.lower().replace('_', ' ')} is not allowed; compare columns with values, joined by and, or, not"
    elif kind == "COLUMN_REF" and (len(node["column_names"]) != 1 or node["column_names"][0] not in columns):
        yield f"no column {'.'.join(node['column_names'])}; there are {', '.join(sorted(columns))}"
    elif kind == "FUNCTION" and (node["function_name"] not in FUNCTIONS or node.get("qualified_name", {}).get("path") != [node["function_name"]]):
        yield f"no function {node['function_name']}; there are {', '.join(sorted(name for name in FUNCTIONS if name.isidentifier()))}"
    else:
        for part in node.values():
            yield from _expression(part, columns)

"""The table of items: texts, their responses, and which of them belong together."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from saebrain.errors import InputError

MISSING = {"", "na", "n/a", "nan", "none", "null"}
"""What stands for a response that was not measured, in any case of letters."""
ROWS_NAMED = 5


@dataclass(frozen=True)
class Items:
    """Texts with their responses.

    groups : number of each item's group; items of one group are predicted together. Without a group column every text is
        a group of its own, so that a text that occurs in several rows is never predicted from itself.
    dropped : rows left out because a response was missing.
    """

    texts: list[str]
    targets: list[str]
    y: Float[np.ndarray, "items targets"]
    groups: Int[np.ndarray, " items"]
    dropped: int


def read_items(
    path: Path,
    *,
    text_column: str,
    targets: Sequence[str],
    group_column: str | None = None,
    where: Sequence[str] = (),
    drop_missing: bool = False,
) -> Items:
    """Read items from a CSV file in UTF-8, with a header.

    Parameters
    ----------
    targets : sequence of str
        Columns of responses, numbers in any unit.
    where : sequence of str
        Conditions such as ``cond=B`` or ``cond!=B``, all of which a row must meet; values are compared as text.
    drop_missing : bool
        Leave out rows that miss a response instead of refusing them.

    Raises
    ------
    InputError
        If the file cannot be read, a column is not there, no row meets the conditions, a text or group is empty, or a
        response is missing, no finite number, or the same in all rows.
    """
    if not targets:
        raise InputError(f"{path}: no target column named; name the responses to predict: --target COLUMN")
    table = _read(path)
    _check_columns(path, table, [text_column, *targets, *([group_column] if group_column else [])])
    for condition in where:
        table = _meeting(path, table, condition)
    missing = table[list(targets)].apply(lambda column: column.str.lower().isin(MISSING)).any(axis=1)
    if missing.any() and not drop_missing:
        raise InputError(f"{path}: no response in {_rows(table, missing)}; fill them in, or leave these rows out with --drop-missing")
    kept = table[~missing]
    y = np.stack([_numbers(path, kept, target) for target in dict.fromkeys(targets)], axis=1)
    for column, name in ((text_column, "text"), *([(group_column, "group")] if group_column else [])):
        if (empty := kept[column] == "").any():
            raise InputError(f"{path}: no {name} in {_rows(kept, empty)}; fill in column {column!r}, or leave these rows out with --where")
    groups = pd.factorize(kept[group_column or text_column])[0].astype(np.int64)
    return Items(kept[text_column].tolist(), list(dict.fromkeys(targets)), y, groups, int(missing.sum()))


def _read(path: Path) -> pd.DataFrame:
    """All cells as text without spaces around it: numbers, conditions and gaps are read from that, by one rule each."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a CSV file with a row per text")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # cells beyond the header would be dropped
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save the table as CSV in UTF-8") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a CSV table ({str(error).strip()}); save it with commas between columns and a header") from error
    return table.apply(lambda column: column.str.strip())


def _check_columns(path: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    columns = list(table.columns)
    for name in names:
        if name not in columns:
            close = difflib.get_close_matches(name, columns, n=1, cutoff=0.6)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{path}: no column {name!r}; its columns are {', '.join(map(repr, columns))}{hint}")


def _meeting(path: Path, table: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Rows that meet one condition."""
    name, sign, value = condition.partition("=")
    if not sign:
        raise InputError(f"condition {condition!r}: has no '='; write it as COLUMN=VALUE or COLUMN!=VALUE")
    unlike, column, value = name.endswith("!"), name.removesuffix("!").strip(), value.strip()
    _check_columns(path, table, [column])
    met = table[(table[column] == value) != unlike]
    if met.empty:
        values = ", ".join(map(repr, sorted(table[column].unique())[:ROWS_NAMED]))
        raise InputError(f"{path}: no row meets {condition!r}; column {column!r} holds {values or 'nothing'}; mend the condition")
    return met


def _numbers(path: Path, table: pd.DataFrame, target: str) -> Float[np.ndarray, " items"]:
    numbers = pd.to_numeric(table[target], errors="coerce").astype(float)
    bad = ~np.isfinite(numbers)
    if bad.any():
        first = table[target][bad].iloc[0]
        raise InputError(f"{path}: column {target!r} holds no finite number in {_rows(table, bad)}, such as {first!r}; mend these cells")
    if numbers.nunique() < 2:
        raise InputError(f"{path}: column {target!r} has the same value in all {len(numbers)} rows; there is nothing to predict, choose another one")
    return numbers.to_numpy()


def _rows(table: pd.DataFrame, chosen: pd.Series) -> str:
    """Rows by number, the first below the header being 1."""
    numbers = (table.index[chosen] + 1).tolist()
    named = ", ".join(map(str, numbers[:ROWS_NAMED]))
    more = f" and {len(numbers) - ROWS_NAMED:,} more" if len(numbers) > ROWS_NAMED else ""
    return f"row{'s' if len(numbers) > 1 else ''} {named}{more}"

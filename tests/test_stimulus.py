"""Words and their times: spoken by the model, read from files, checked."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from saebrain.errors import InputError
from saebrain.stimulus import COLUMNS, check_words, join, read_words, speak, syllables, word_table

ROOT = Path(__file__).parent.parent
STORIES = ("lighthouse", "orchard", "nightbus")
SHARED = Path(os.environ.get("SAEBRAIN_SHARED_DATA", ROOT.parent / "shared" / "data"))
NATURAL_STORIES = SHARED / "naturalstories"
NATURAL_STORIES_CODE = r"\s*/\s*[\d.]+\S*\s*$"
RUN_S = 652 * 1.4  # length of a demo run: samples x TR


def story(name: str) -> str:
    return (ROOT / "data" / "demo" / f"{name}.txt").read_text(encoding="utf-8")


def small() -> pd.DataFrame:
    return word_table(["The", "harbour,", '"Nobody'], np.array([0.5, 1.0, 2.0]), np.array([0.8, 2.0, 2.5]), run="a", language="en")


# speech


@pytest.mark.parametrize("name", STORIES)
def test_story_is_spoken_at_the_pace_and_fits_its_run(name: str) -> None:
    words = speak(story(name), run=name, seed=0)
    check_words(words)
    onset, offset = words["onset_s"].to_numpy(), words["offset_s"].to_numpy()
    assert onset[0] == 8.0
    assert len(words) / (offset[-1] - onset[0]) * 60 == pytest.approx(150, rel=1e-6)
    assert (np.diff(onset) > 0).all()
    assert (offset[:-1] <= onset[1:]).all()
    assert (offset - onset).min() > 0.1
    assert (offset - onset).max() < 2.0
    assert offset[-1] + 12 <= RUN_S


@pytest.mark.parametrize("name", STORIES)
def test_words_of_a_story_joined_are_its_text(name: str) -> None:
    words = speak(story(name), run=name, seed=0)
    text, spans = join(words)
    assert text == re.sub(r"\s+", " ", story(name)).strip()
    assert spans.shape == (len(words), 2)
    assert [text[start:stop] for start, stop in spans] == words["word"].tolist()


def test_speech_table_has_the_columns_and_types_of_a_study() -> None:
    words = speak("One two.", run="a", language="en", seed=3)
    assert tuple(words.columns) == COLUMNS
    assert words["index"].dtype == np.int32
    assert words["onset_s"].dtype == words["offset_s"].dtype == np.float64
    assert words["index"].tolist() == [0, 1]


def test_speech_depends_on_seed_and_run_only() -> None:
    text = story("orchard")[:2000]
    first = speak(text, run="a", seed=1)
    pd.testing.assert_frame_equal(first, speak(text, run="a", seed=1))
    assert not np.allclose(first["onset_s"][1:], speak(text, run="a", seed=2)["onset_s"][1:])
    assert not np.allclose(first["onset_s"][1:], speak(text, run="b", seed=1)["onset_s"][1:])


def test_pauses_grow_from_word_to_comma_to_sentence_to_paragraph() -> None:
    text = "\n\n".join(["Mr. Osei saw stone, then stone. And then stone"] * 60)
    words = speak(text, run="a", seed=0)
    gaps = (words["onset_s"].shift(-1) - words["offset_s"]).to_numpy()[:-9].reshape(-1, 9).mean(axis=0)
    title, _, _, comma, _, sentence, plain, _, paragraph = gaps
    assert title == pytest.approx(0, abs=1e-9), "an abbreviation ends no sentence"
    assert plain == pytest.approx(0, abs=1e-9)
    assert 0.1 < comma < sentence < paragraph
    assert paragraph > 1.5 * sentence > 2 * comma


def test_longer_words_last_longer() -> None:
    words = speak(" ".join(["stone", "telephone", "interrupting"] * 80), run="a", seed=0)
    lasts = (words["offset_s"] - words["onset_s"]).groupby(words["word"]).mean()
    assert lasts["stone"] < lasts["telephone"] < lasts["interrupting"]


def test_pace_and_lead_in_are_as_asked() -> None:
    words = speak(story("nightbus"), run="a", seed=0, words_per_minute=95.0, lead_in_s=2.5)
    assert words["onset_s"].iloc[0] == 2.5
    assert len(words) / (words["offset_s"].iloc[-1] - 2.5) * 60 == pytest.approx(95, rel=1e-6)


def test_lone_punctuation_belongs_to_the_word_before() -> None:
    words = speak("- Yes - no ... and\n\n* * *\n\nthen -", run="a", seed=0)
    assert words["word"].tolist() == ["- Yes -", "no ...", "and", "then -"]


@pytest.mark.parametrize(
    ("text", "language"), [("Он вышел, и дверь закрылась.", "ru"), ("他 走 了 出去。 门 关 上 了。", "zh"), ("Hén étage; à côté.", "fr")]
)
def test_other_scripts_are_spoken(text: str, language: str) -> None:
    words = speak(text, run="a", language=language, seed=0)
    check_words(words)
    assert join(words)[0] == text
    assert set(words["language"]) == {language}


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *[("stone", 1), ("walked", 1), ("gates", 1), ("table", 2), ("wanted", 2), ("houses", 2), ("agreed", 2), ("the", 1), ("Mrs.", 1)],
        *[("forty-three", 3), ("churches,", 2), ("little", 2), ('"Grandmother', 3), ("1984", 4), ("门关", 2), ("--", 1)],
    ],
)
def test_syllables(word: str, count: int) -> None:
    assert syllables(word) == count


def test_silent_e_is_a_rule_of_english() -> None:
    assert (syllables("stone", "en"), syllables("Rose", "de")) == (1, 2)


@pytest.mark.parametrize(
    ("text", "words_per_minute", "lead_in_s", "message"),
    [
        ("", 150.0, 8.0, "no words"),
        (" ... \n\n -- ", 150.0, 8.0, "no words"),
        ("One.", 0.0, 8.0, "words_per_minute 0.0"),
        ("One.", float("nan"), 8.0, "words_per_minute nan"),
        ("One.", 150.0, -1.0, "lead_in_s -1.0"),
    ],
)
def test_speech_refuses(text: str, words_per_minute: float, lead_in_s: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        speak(text, run="a", seed=0, words_per_minute=words_per_minute, lead_in_s=lead_in_s)


# join


def test_join_without_separator() -> None:
    words = speak("他 走 了", run="a", language="zh", seed=0)
    text, spans = join(words, separator="")
    assert (text, spans.tolist()) == ("他走了", [[0, 1], [1, 2], [2, 3]])


def test_join_takes_one_run() -> None:
    both = pd.concat([small(), small().assign(run="b")])
    with pytest.raises(ValueError, match="one run at a time, got 2: a, b"):
        join(both)


# check_words


def test_sound_words_pass() -> None:
    check_words(pd.concat([small(), small().assign(run="b")], ignore_index=True))


def changed(column: str, row: int, value: object) -> pd.DataFrame:
    words = small().astype({column: object})
    words.loc[row, column] = value
    return words.infer_objects()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (small().drop(columns=["onset_s", "run"]), "no column run, onset_s (received: language, index, word, offset_s); give"),
        (small().iloc[:0], "no words; give a stimulus"),
        (changed("word", 1, 17), "row 2: word is 17, not text"),
        (changed("word", 2, "  "), "row 3: word is '  ', not text"),
        (changed("word", 0, None), "row 1: word is nan, not text"),
        (changed("onset_s", 1, "1,0"), "column onset_s holds object, not numbers; give times in seconds"),
        (changed("onset_s", 1, float("nan")), "row 2 ('harbour,', nan to 2 s, run 'a'): a time is missing or infinite"),
        (changed("offset_s", 2, float("inf")), "row 3 ('\"Nobody', 2 to inf s, run 'a'): a time is missing or infinite"),
        (changed("onset_s", 0, -0.5), "row 1 ('The', -0.5 to 0.8 s, run 'a'): negative onset"),
        (changed("offset_s", 1, 0.9), "row 2 ('harbour,', 1 to 0.9 s, run 'a'): offset before onset"),
        (changed("onset_s", 1, 0.25), "row 2 ('harbour,', 0.25 to 2 s, run 'a'): onset before that of the row above (0.5 s); sort"),
        (changed("onset_s", 2, 1.75), "row 3 ('\"Nobody', 1.75 to 2.5 s, run 'a'): overlaps the row above (2 s); end each word"),
        (changed("language", 2, "zh"), "row 3: language 'zh' after 'en' in run 'a'; give each language runs of its own"),
        (changed("index", 1, 5), "row 2: word index 5 where 1 was expected in run 'a'; number the words"),
        (pd.concat([small(), small()]), "row 4: word index 0 where 3 was expected in run 'a'; the run is there twice"),
        (pd.concat([small(), small().assign(run="b"), small()]), "row 7: run 'a' is there twice (already from row 1); give each run its own name"),
    ],
)
def test_check_refuses(words: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_words(words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# tables


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'word,onset,offset\nThe,0.5,0.8\n"harbour,",1.0,2.0\n"""Nobody",2.0,2.5\n'),
        ("a.tsv", 'onset_s\tduration_s\tword\n0.5\t0.3\tThe\n1.0\t1.0\tharbour,\n2.0\t0.5\t"Nobody\n'),
        ("a.txt", '\ufeffWord;Onset_s;Offset_s;pos\nThe;0.5;0.8;DT\nharbour,;1.0;2.0;NN\n"""Nobody";2.0;2.5;PRP\n'),
        ("a.CSV", 'word,onset,duration\r\nThe,0.5,0.3\r\nsil,0.8,0.2\r\n"harbour,",1.0,1.0\r\n"""Nobody",2.0,0.5\r\n'),
    ],
)
def test_tables_are_read(tmp_path: Path, name: str, text: str) -> None:
    words = read_words(written(tmp_path, name, text), run="a", language="en")
    pd.testing.assert_frame_equal(words, small())


def test_words_that_look_like_missing_values_survive(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "word,onset,offset\nnull,0,1\nNA,1,2\nnan,2,3\n")
    assert read_words(path, run="a", language="en")["word"].tolist() == ["null", "NA", "nan"]


def test_table_written_and_read_is_the_same(tmp_path: Path) -> None:
    words = speak(story("lighthouse"), run="a", seed=0)
    for name, separator, quoting in [("a.csv", ",", csv.QUOTE_MINIMAL), ("b.tsv", "\t", csv.QUOTE_MINIMAL), ("c.tsv", "\t", csv.QUOTE_NONE)]:
        words.to_csv(tmp_path / name, sep=separator, index=False, quoting=quoting)
        pd.testing.assert_frame_equal(read_words(tmp_path / name, run="a", language="en"), words)


def test_rounded_times_that_touch_are_closed(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "word,onset,duration\nOne,0.1,0.201\ntwo,0.3,0.5\n")
    assert read_words(path, run="a", language="en")["offset_s"].tolist() == [0.3, 0.8]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "the file is empty"),
        ("a.csv", "word,start,end\nThe,0,1\n", "columns word, start, end; give word, onset and offset"),
        ("a.csv", "word,onset,offset\nharbour,,0,1\n", "line 2: 'harbour,,0,1' does not have the 3 columns"),
        ("a.csv", "word;onset;offset\nThe;0,5;0,8\n", "line 2: onset is '0,5', not a number; give seconds with a decimal point"),
        ("a.csv", "word,onset,offset\nThe,500,800\nend,1000,1400\n", "look like milliseconds (the median word lasts 350)"),
        ("a.csv", "word,onset,offset\nThe,0,1\nend,0.5,1.4\n", "row 2 ('end', 0.5 to 1.4 s, run 'a'): overlaps the row above"),
        ("a.csv", "word,onset,offset\nThe,nan,1\nend,1,2\n", "row 1 ('The', nan to 1 s, run 'a'): a time is missing"),
        ("a.csv", "word,onset,offset\n,0,1\n", "no words among 1 rows"),
        ("a.xlsx", "PK", "cannot tell what .xlsx is"),
    ],
)
def test_table_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_words(written(tmp_path, name, text), run="a", language="en")
    assert message in str(caught.value)
    assert name in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        read_words(tmp_path / "none.csv", run="a", language="en")


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="byte 18 is not UTF-8 text; save the file as UTF-8"):
        read_words(written(tmp_path, "a.csv", "word,onset,offset\n\xe9t\xe9,0,1\n", "latin-1"), run="a", language="fr")


# TextGrid

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 3
        points: size = 1
        points [1]:
            number = 1.5
            mark = "a 3 "" click"
    item [2]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 3
        intervals: size = 6
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 0.8
            text = " The / 1.1"
        intervals [3]:
            xmin = 0.8
            xmax = 1e0
            text = "<p>"
        intervals [4]:
            xmin = 1.0
            xmax = 2.0
            text = "harbour, / 1.2.word"
        intervals [5]:
            xmin = 2.0
            xmax = 2.5
            text = "\"\"Nobody / 1.3"
        intervals [6]:
            xmin = 2.5
            xmax = 3
            text = "SIL"
    item [3]:
        class = "IntervalTier"
        name = "Wörter"
        xmin = 0
        xmax = 3
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 3
            text = "Hafen"
"""


def shortened(text: str) -> str:
    """The short text format: the same values without their names, and a comment."""
    values = re.findall(r'"(?:[^"]|"")*"|(?<== )[-\d.e]+|<exists>', text)
    return "\n".join([*values[:2], "! a comment with a 7 in it", *values[2:]])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("layout", [str, shortened], ids=["long", "short"])
def test_textgrid_is_read(tmp_path: Path, layout: Callable[[str], str], encoding: str) -> None:
    path = written(tmp_path, "a.TextGrid", layout(LONG), encoding)
    pd.testing.assert_frame_equal(read_words(path, run="a", language="en", strip=NATURAL_STORIES_CODE), small())
    assert read_words(path, run="a", language="de", tier="Wörter")["word"].tolist() == ["Hafen"]


def test_interval_that_ends_before_it_begins_is_left_out(tmp_path: Path) -> None:
    remains = LONG.replace('xmax = 1e0\n            text = "<p>"', 'xmax = 0.7\n            text = "The / 1.1.1"')
    path = written(tmp_path, "a.TextGrid", remains)
    assert remains != LONG
    pd.testing.assert_frame_equal(read_words(path, run="a", language="en", strip=NATURAL_STORIES_CODE), small())


def test_strip_may_be_a_function(tmp_path: Path) -> None:
    path = written(tmp_path, "a.TextGrid", LONG)
    words = read_words(path, run="a", language="en", strip=lambda label: label.partition("/")[0].lower())
    assert words["word"].tolist() == ["the", "harbour,", '"nobody']


@pytest.mark.parametrize(
    ("text", "tier", "message"),
    [
        (LONG, "word", "no tier 'word'; choose one of: 'clicks', 'words', 'Wörter'"),
        (LONG, "clicks", "tier 'clicks' holds points, not intervals"),
        (LONG.rpartition("xmax")[0], "words", "breaks off or is damaged"),
        (LONG.replace("xmax = 2.5", 'xmax = "x"'), "words", "'x' where a number was expected"),
        (LONG.replace('"TextGrid"', '"Pitch 1"'), "words", "not a Praat TextGrid in text format"),
        ("ooBinaryFile\x08TextGrid", "words", "breaks off or is damaged"),
        ('"ooTextFile"\n"TextGrid"\n0\n1\n<absent>\n', "words", "no tier 'words'; choose one of: none"),
    ],
)
def test_textgrid_refused(tmp_path: Path, text: str, tier: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_words(written(tmp_path, "a.TextGrid", text), run="a", language="en", tier=tier)
    assert message in str(caught.value)


@pytest.mark.skipif(not NATURAL_STORIES.is_dir(), reason=f"no Natural Stories in {NATURAL_STORIES}; set SAEBRAIN_SHARED_DATA")
@pytest.mark.parametrize("number", range(1, 8))
def test_natural_stories_are_read(number: int) -> None:
    """The words are those of the corpus' own word list, story by story: codes are ``story.token``."""
    words = read_words(NATURAL_STORIES / f"{number}.TextGrid", run=f"story{number}", language="en", strip=NATURAL_STORIES_CODE)
    with (NATURAL_STORIES / "words.tsv").open(encoding="utf-8") as file:
        listed = [row[1] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if re.fullmatch(rf"{number}\.\d+\.whole", row[0])]
    assert 950 < len(words) < 1150
    assert len(words) == pytest.approx(len(listed), rel=0.03)
    assert not words["word"].str.contains(r"[/<>]|\d\.\d").any()
    spoken, known = ({re.sub(r"\W", "", word.lower()) for word in column} for column in (words["word"], listed))
    assert len(spoken & known) > 0.9 * len(spoken)
    assert 1.5 < len(words) / words["offset_s"].iloc[-1] < 5.0


@pytest.mark.skipif(not NATURAL_STORIES.is_dir(), reason=f"no Natural Stories in {NATURAL_STORIES}; set SAEBRAIN_SHARED_DATA")
def test_natural_stories_keep_word_and_time() -> None:
    words = read_words(NATURAL_STORIES / "1.TextGrid", run="story1", language="en", strip=NATURAL_STORIES_CODE)
    assert words["word"].head(5).tolist() == ["IF", "YOU", "WERE", "TO", "JOURNEY"]
    assert words["onset_s"].iloc[4] == 1.09918628044
    assert words["offset_s"].iloc[4] == 1.49012115617

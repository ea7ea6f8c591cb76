"""Turn the NLTK corpus archives into a folder of plain-text documents, for training a SAE.

    python tools/prepare_corpora.py FOLDER_OF_ZIPS OUTPUT_FOLDER

The archives are Brown, MASC, ABC, movie reviews, web text and the State of the Union addresses. Brown and MASC come
as ``word/TAG`` or ``word_TAG``; the tags are dropped and the tokens joined the way prose is written. Long files are
cut at paragraph ends into documents of about 20,000 characters, so that a shuffle of documents mixes the genres.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

DOCUMENT_CHARACTERS = 20_000
ARCHIVES = ("brown", "masc_tagged", "abc", "movie_reviews", "webtext", "state_union")
TAG_SEPARATOR = {"brown": "/", "masc_tagged": "_"}
NOT_TEXT = re.compile(r"(README|CONTENTS|cats\.txt|categories\.txt|/)$")


def detokenise(text: str) -> str:
    """Join space-separated tokens as written prose: punctuation to the left, contractions closed, quotes paired."""
    text = text.replace("``", '"').replace("''", '"')
    text = re.sub(r" +", " ", text)
    text = re.sub(r" ([,.;:!?%)\]}])", r"\1", text)
    text = re.sub(r"([(\[{$]) ", r"\1", text)
    text = re.sub(r" (n't|'s|'re|'ve|'ll|'d|'m)\b", r"\1", text)
    text = re.sub(r'" ([^"\n]*?) ?"', r'"\1"', text)
    # Brown doubles the mark that ends a quotation or a heading (`;/; ;/;`, `?/? ?/?`).
    return re.sub(r"([;:!?])(?: ?\1)+", r"\1", text)


def strip_tags(text: str, separator: str) -> str:
    """Drop the part-of-speech tag from every token of ``word<separator>TAG`` text; line breaks stay."""
    lines = (" ".join(token.rpartition(separator)[0] for token in line.split()) for line in text.splitlines())
    return "\n".join(lines)


def documents(archive: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, text) for each document of one archive."""
    separator = TAG_SEPARATOR.get(archive.stem)
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            if NOT_TEXT.search(name):
                continue
            text = files.read(name).decode("utf-8", errors="replace")
            text = detokenise(strip_tags(text, separator)) if separator else detokenise(text)
            text = re.sub(r"\n\s*\n+", "\n\n", "\n".join(line.strip() for line in text.splitlines())).strip()
            if separator:  # a line is a sentence there; prose runs on within a paragraph
                text = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
            yield from cut(name.replace("/", "-").removesuffix(".txt"), text)


def cut(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Cut a long text at line ends into pieces of about ``DOCUMENT_CHARACTERS``."""
    piece: list[str] = []
    size = number = 0
    for line in text.split("\n"):
        piece.append(line)
        size += len(line) + 1
        if size >= DOCUMENT_CHARACTERS:
            yield f"{name}-{number}", "\n".join(piece).strip()
            piece, size, number = [], 0, number + 1
    if size > 1:
        yield f"{name}-{number}", "\n".join(piece).strip()


def main(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    words = count = 0
    for stem in ARCHIVES:
        for name, text in documents(source / f"{stem}.zip"):
            (target / f"{name}.txt").write_text(text, encoding="utf-8")
            words += len(text.split())
            count += 1
    print(f"{count:,} documents, {words:,} words in {target}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))

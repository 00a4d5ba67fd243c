"""One order for the same texts, and chunks whose shape is the texts' own."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.cache.canonical import Canonical, chunks
from lora_bert.tokens.tokenized import TokenizedTexts

ROW = st.lists(st.integers(0, 300), min_size=1, max_size=5)
ROWS = st.lists(ROW, min_size=1, max_size=20)
LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=200).map(sorted)


def contents(encodings):
    types = encodings.types
    return [
        (
            encodings.row(number),
            None
            if types is None
            else types[slice(*encodings.starts[number : number + 2])].tolist(),
        )
        for number in range(len(encodings))
    ]


@given(st.lists(st.lists(ROW, max_size=8), min_size=1, max_size=3).filter(any), st.randoms())
def test_the_order_and_the_company_of_rows_do_not_matter(parts, random):
    mixed = [row for part in parts for row in part] * 2
    random.shuffle(mixed)
    one = Canonical.of([TokenizedTexts.of(part, 0) for part in parts])
    other = Canonical.of([TokenizedTexts.of(mixed, 0)])
    assert contents(one.encodings) == contents(other.encodings)


@given(st.lists(ROWS, min_size=1, max_size=3))
def test_every_row_is_found_and_every_content_stands_once(parts):
    found = Canonical.of([TokenizedTexts.of(part, 0) for part in parts])
    kept = contents(found.encodings)
    assert [len(row) for row, _ in kept] == sorted(len(row) for row, _ in kept)
    assert len({tuple(row) for row, _ in kept}) == len(kept)
    for part, numbers in zip(parts, found.numbers, strict=True):
        assert [kept[number][0] for number in numbers] == part


@given(ROWS, st.data())
def test_rows_that_differ_in_their_types_alone_are_two(rows, data):
    types = [[data.draw(st.integers(0, 1)) for _ in row] for row in rows]
    given_ = TokenizedTexts.of(rows, 0, types=types)
    found = Canonical.of([given_])
    kept = contents(found.encodings)
    assert [kept[number] for number in found.numbers[0]] == contents(given_)
    distinct = {(tuple(row), tuple(kinds or ())) for row, kinds in contents(given_)}
    assert len(kept) == len(distinct)


@given(LENGTHS, st.sampled_from([1, 64, 1024]), st.integers(0, 100))
def test_chunks_hold_every_text_once_in_order(lengths, tokens, extra):
    longest = lengths[-1] + extra
    planned = list(chunks(np.array(lengths), tokens=tokens, longest=longest))
    assert [row for chunk in planned for row in chunk.rows[: chunk.count]] == [*range(len(lengths))]
    for chunk in planned:
        assert set(chunk.rows[chunk.count :]) <= {chunk.rows[chunk.count - 1]}
        assert lengths[chunk.rows[-1]] <= chunk.width <= longest


@given(LENGTHS, LENGTHS, st.sampled_from([64, 1024]))
def test_the_shape_of_a_texts_chunk_is_its_lengths(one, other, tokens):
    shapes: dict[int, set[tuple[int, int]]] = {}
    for lengths in (one, other):
        for chunk in chunks(np.array(lengths), tokens=tokens, longest=600):
            for row in chunk.rows:
                shapes.setdefault(lengths[row], set()).add((len(chunk.rows), chunk.width))
    assert all(len(found) == 1 for found in shapes.values())


def test_little_is_padding():
    for chunk in chunks(np.arange(20, 513), tokens=1024, longest=512):
        shortest = 20 + chunk.rows[0]
        assert chunk.width - shortest < max(8, chunk.width / 8)

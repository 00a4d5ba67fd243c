"""Every rule of batching: which rows stand in which batch, and how many tokens products compute.

Nothing is padded: the tokens of a batch stand one row behind the other, and only attention knows
rows. But a processor's library prepares a product anew for each number of tokens, for about a
millisecond a product, and keeps a limited number of them. So numbers of tokens go up a ladder, with
filler at the end of a batch: tokens that no row reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lora_bert.mapped import GrowingArray, mapped
from lora_bert.tokens.tokenized import TokenizedTexts, cu_seqlens, flat_index

LAYOUT = 2
"""Goes up with every change of the rules below: they decide the last bits of a training."""

SLICE_TOKENS = 1024
"""More at once are not faster on a CPU core; they only take memory."""

LONG_ROW = 512
"""Tokens of the longest rows that most backbones take."""

_FEW_BATCHES = 4
"""So many a thread, and the last ones no longer fill the gaps that the first ones leave."""

_THREAD_TOKENS = 128
"""Fewer are not worth a thread of their own."""

_A_BATCH = 128
"""How many tokens more could be computed in the time that one more padded batch takes."""

_POOL = 50
"""Batches that are sorted by length together: more are more alike in a batch, fewer mix better."""

Cut = Callable[[np.ndarray, int], list[np.ndarray]]
"""Lengths of rows and a batch size -> row numbers in batches."""

_NEAR, _EXCHANGES = 2048, 12
"""From how many of the next rows shorter ones are taken, and how many at most."""


def filled(tokens: int) -> int:
    """The ladder's next step from so many tokens: 8, 16, 32, 64, 96 … 1024, 1088 and so on."""
    return _up(tokens, _step(tokens))


@dataclass(frozen=True)
class Blocks:
    """Where attention sees rows: in blocks of one length, in some of which several rows stand.

    Attributes:
        block: Which block each row stands in, int64 ``[rows]``.
        begin: At which place of it the row begins, int64 ``[rows]``.
        before: How many rows stand before it there, int64 ``[rows]``.
        count: Of blocks; at times more than there are rows for, where that makes fewer shapes.
        length: Of each.
    """

    block: np.ndarray
    begin: np.ndarray
    before: np.ndarray
    count: int
    length: int

    @classmethod
    def alone(cls, lengths: np.ndarray) -> Blocks:
        """A block for each row."""
        rows, zeros = np.arange(len(lengths)), np.zeros(len(lengths), dtype=np.int64)
        return cls(rows, zeros, zeros, _up(len(rows), 4), _up(lengths.max(), 8))

    @classmethod
    def shared(cls, lengths: np.ndarray) -> Blocks:
        """Short rows side by side in blocks as long as a processor's vectors, or a multiple.

        For rows a little longer than one vector, one and a half are faster than two.
        """
        length, sizes = _up(lengths.max(), 32), lengths.tolist()
        length = 48 if 32 < lengths.max() <= 48 else length
        left = deque(_sorted(np.arange(len(lengths)), lengths).tolist())
        block, begin, before = np.zeros((3, len(lengths)), dtype=np.int64)
        count = 0
        while left:
            # The longest row that is left, and as many of the shortest as there is room for.
            row, end, rows = left.popleft(), 0, 0
            while True:
                block[row], begin[row], before[row] = count, end, rows
                end, rows = end + sizes[row], rows + 1
                if not left or end + sizes[left[-1]] > length:
                    break
                row = left.pop()
            count += 1
        return cls(
            block, begin, before, _up(count, 1 if count < 4 else 2 if count < 12 else 4), length
        )


def _up(number: int, step: int) -> int:
    """The multiple of ``step`` that is not below ``number``."""
    return -(-int(number) // step) * step


@dataclass(frozen=True)
class Offsets:
    """Where the rows of a batch stand among its tokens.

    Attributes:
        cu_seqlens: Where each row begins, int64 ``[rows + 1]``; the last one is the end.
        tokens: All of them, filler included.
    """

    cu_seqlens: np.ndarray
    tokens: int

    @classmethod
    def of(cls, lengths: np.ndarray) -> Offsets:
        """The offsets of rows of these ``lengths``, and filler up to the ladder's next step."""
        offsets = cu_seqlens(lengths)
        return cls(offsets, filled(int(offsets[-1])))

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.cu_seqlens) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 ``[rows]``."""
        return np.diff(self.cu_seqlens)

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return int(self.lengths.max())

    def spread(self, each: np.ndarray) -> np.ndarray:
        """A number a row -> the same number for every token of the row, without filler."""
        return np.repeat(each, self.lengths)

    @cached_property
    def positions(self) -> np.ndarray:
        """The place of each token in its row, counted from 0, int64 ``[tokens]``; 0 for filler."""
        positions = np.zeros(self.tokens, dtype=np.int64)
        end = self.cu_seqlens[-1]
        positions[:end] = np.arange(end) - self.spread(self.cu_seqlens[:-1])
        return positions


@dataclass(frozen=True)
class TokenBatch:
    """Some texts, one behind the other.

    Attributes:
        ids: Token ids, int64 ``[tokens]``.
        offsets: Where the rows stand.
        token_type_ids: int64 ``[tokens]``, or None for all zeros.
    """

    ids: np.ndarray
    offsets: Offsets
    token_type_ids: np.ndarray | None = None

    @classmethod
    def of(cls, texts: TokenizedTexts, rows: Sequence[int] | np.ndarray) -> TokenBatch:
        """Some of the ``texts``, at least one, in the order of ``rows``."""
        chosen = np.asarray(rows, dtype=np.int64)
        offsets = Offsets.of(texts.lengths[chosen])
        index = flat_index(texts.starts[chosen], offsets.lengths)
        filler = offsets.tokens - len(index)
        ids = np.concatenate([texts.ids[index], np.full(filler, texts.pad_id)], dtype=np.int64)
        if texts.token_type_ids is None:
            return cls(ids, offsets)
        types = np.concatenate(
            [texts.token_type_ids[index], np.zeros(filler, np.uint8)], dtype=np.int64
        )
        return cls(ids, offsets, types)


def by_length(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Row numbers in batches of at most ``batch_size``, the longest first: memory runs out at once.

    A batch may hold fewer rows, so that all batches have few numbers of tokens.
    """
    rows, batches, begin = _sorted(np.arange(len(lengths)), lengths), list[np.ndarray](), 0
    while begin < len(rows):
        ends = np.cumsum(lengths[rows[begin : begin + batch_size]])
        wanted = _round(int(ends[-1]))
        size = int(np.searchsorted(ends, wanted)) + 1
        batches.append(_taken(rows[begin:], size, lengths, wanted))
        begin += size
    return batches


def by_padded_length(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Row numbers in batches for engines that pad, the longest first: the cheapest way to cut them.

    A batch costs its rows times its longest row, and as much as a few more tokens for being one
    more. The best cut of the rows from each one on follows from those of the rows behind it.
    """
    order = _sorted(np.arange(len(lengths)), lengths)
    longest = lengths[order].astype(np.int64)
    sizes = np.arange(1, batch_size + 1)
    cost, size = np.zeros(len(order) + 1, dtype=np.int64), np.zeros(len(order), dtype=np.int64)
    for row in reversed(range(len(order))):
        possible = sizes[: len(order) - row]
        costs = longest[row] * possible + cost[row + 1 : row + 1 + len(possible)]
        size[row] = costs.argmin() + 1
        cost[row] = costs.min() + _A_BATCH
    batches, begin = [], 0
    while begin < len(order):
        batches.append(order[begin : begin + size[begin]])
        begin += size[begin]
    return batches


def by_tokens(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Row numbers in batches for a GPU, the longest rows first: it is fast with any shape.

    And it is the faster the more it has to do at once: a batch has as many tokens as
    ``batch_size`` rows of :data:`LONG_ROW`, so short rows are as many more.
    """
    order = _sorted(np.arange(len(lengths)), lengths)
    return [order[rows] for rows in chunks(lengths[order], batch_size * LONG_ROW)]


def by_owner(
    lengths: np.ndarray, owners: np.ndarray, batch_size: int, cut: Cut
) -> list[np.ndarray]:
    """Row numbers in batches in which the rows of one owner, an adapter, stand beside each other.

    ``owners`` has the owner's number for each row. On a CPU, owners with rows for a whole batch
    have batches of their own, as ``cut`` makes them, and those of the others are put together; a
    GPU is the faster the more it has to do at once. Owners with rows of like length are neighbours.
    """
    counts = np.bincount(owners)
    mean = np.bincount(owners, lengths) / np.maximum(counts, 1)
    order = np.lexsort((-lengths, owners, -mean[owners]))
    if cut is by_tokens:
        return [order[rows] for rows in chunks(lengths[order], batch_size * LONG_ROW)]
    batches = []
    for owner in np.flatnonzero(counts > batch_size):
        rows = np.flatnonzero(owners == owner)
        batches += [rows[part] for part in cut(lengths[rows], batch_size)]
    few = order[counts[owners[order]] <= batch_size]
    return batches + [few[at : at + batch_size] for at in range(0, len(few), batch_size)]


def levelled(batches: list[np.ndarray], lengths: np.ndarray, threads: int) -> list[np.ndarray]:
    """The same rows in the same order, few batches with as many tokens each for every thread.

    Of sorted rows the first batch has the longest, and whoever computes the last one is through
    with it long before. Of many batches the short ones fill such gaps. One that is too small for
    all threads is left as it is, for all cores.
    """
    if threads < 2 or not 0 < len(batches) < _FEW_BATCHES * threads:
        return batches
    rows = np.concatenate(batches)
    ends = np.cumsum(lengths[rows])
    most = max(len(batches), int(ends[-1]) // _THREAD_TOKENS)
    if len(batches) == 1 and most < threads:
        return batches
    count = min(threads * -(-len(batches) // threads), most)
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, count) / count) + 1
    return [part for part in np.split(rows, cuts) if len(part)]


def chunks(lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """Row numbers in order, in chunks of at most ``tokens`` tokens; a longer row stands alone.

    The chunks are those of the lengths alone, whoever computes them.
    """
    ends = np.cumsum(lengths)
    begin = 0
    while begin < len(lengths):
        before = ends[begin] - lengths[begin]
        end = max(begin + 1, int(np.searchsorted(ends, before + tokens, side="right")))
        yield np.arange(begin, end)
        begin = end


def epoch_batches(
    lengths: np.ndarray, *, seed: int, epoch: int, batch_size: int, batch_tokens: int | None = None
) -> list[np.ndarray]:
    """Row numbers in batches of like length, in random order, another one each epoch.

    The rows are shuffled, cut into pools of fifty batches, sorted within the pool, cut into batches
    and the batches shuffled again: an epoch stays random, and attention pads little. All of it is a
    function of seed and epoch: a batch's place in an epoch is one number, whoever computes it.

    Args:
        lengths: Tokens of each row.
        seed: Of the run.
        epoch: Counted from 1.
        batch_size: Rows of a batch.
        batch_tokens: Bound batches by their tokens in place of their rows; a longer row stands
            alone.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = mapped(generator.permutation(len(lengths)))
    if batch_tokens:
        batch_size = max(1, int(batch_tokens / lengths.mean()))
    flat, sizes = GrowingArray(np.int64), list[int]()
    for start in range(0, len(order), _POOL * batch_size):
        pool = order[start : start + _POOL * batch_size]
        pool = _sorted(pool, lengths)
        if batch_tokens:
            batches = [pool[rows] for rows in chunks(lengths[pool], batch_tokens)]
        else:
            batches = _cut(pool, lengths, batch_size)
        flat.add(np.concatenate(batches))
        sizes += map(len, batches)
    rows, ends = flat.whole(), cu_seqlens(sizes).tolist()
    return [rows[ends[at] : ends[at + 1]] for at in generator.permutation(len(sizes)).tolist()]


def slices(batch: np.ndarray, lengths: np.ndarray, count: int) -> list[np.ndarray]:
    """A batch's rows in ``count`` parts of about as many tokens, with little filler; none is empty.

    ``lengths`` are the tokens of every row there is. Of fewer rows there are as many parts as rows.
    """
    rest, parts = batch, []
    for left in range(min(count, len(batch)), 1, -1):
        ends = np.cumsum(lengths[rest])
        fair = int(ends[-1]) // left
        wanted = fair // _step(fair) * _step(fair) or fair
        size = min(int(np.searchsorted(ends, wanted)) + 1, len(rest) - left + 1)
        if size > 1 and wanted - ends[size - 2] < ends[size - 1] - wanted > fair / 8:
            size -= 1  # of few long rows
        part, rest = _exchanged(rest[:size], rest[size:], lengths, int(ends[size - 1]) - wanted)
        parts.append(part)
    return [*parts, rest]


def slice_count(tokens: int, workers: int, most: int = SLICE_TOKENS) -> int:
    """Into how many slices a batch is cut: one a worker, or a multiple where it is long."""
    return workers * max(1, -(-tokens // (most * workers)))


def padding_share(lengths: np.ndarray, parts: Sequence[np.ndarray]) -> float:
    """Which share of what products compute is filler, 0..1, for parts that are computed at once."""
    computed = sum(filled(int(lengths[rows].sum())) for rows in parts)
    return 1 - float(sum(lengths[rows].sum() for rows in parts)) / computed


def _cut(rows: np.ndarray, lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Sorted rows in batches of ``size``, with few different numbers of tokens."""
    return [
        _taken(rows[at:], size, lengths, _round(int(lengths[rows[at : at + size]].sum())))
        for at in range(0, len(rows), size)
    ]


def _round(tokens: int) -> int:
    """The multiple below of a power of two that is an eighth to a quarter of it, at most 256."""
    apart = 1 << max(3, min(8, tokens.bit_length() - 3))
    return tokens // apart * apart or tokens


def _taken(rows: np.ndarray, size: int, lengths: np.ndarray, wanted: int) -> np.ndarray:
    """The first ``size`` of sorted rows; the others stay sorted, and where they are.

    Some of the first change places with shorter ones, so that they have ``wanted`` tokens: there is
    no filler then, and few products have to be prepared.
    """
    batch, near = rows[:size], rows[size:][:_NEAR]
    batch, left = _exchanged(batch, near, lengths, int(lengths[batch].sum()) - wanted)
    near[:] = _sorted(left, lengths)
    return _sorted(batch, lengths)


def _exchanged(
    part: np.ndarray, rest: np.ndarray, lengths: np.ndarray, excess: int
) -> tuple[np.ndarray, np.ndarray]:
    """``part`` and ``rest`` after some of their rows have changed places.

    ``part`` has ``excess`` tokens fewer then, or as few as a few exchanges can bring it to.
    """
    part, rest = part.copy(), rest.copy()
    for _ in range(_EXCHANGES):
        gains = lengths[part][:, None] - lengths[rest]
        gains[gains > excess] = 0
        if excess <= 0 or not gains.any():
            break
        one, other = np.unravel_index(gains.argmax(), gains.shape)
        part[one], rest[other] = rest[other], part[one]
        excess -= int(gains[one, other])
    return part, rest


def _sorted(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Row numbers, the longest first."""
    return rows[np.argsort(-lengths[rows], kind="stable")]


def _step(tokens: int) -> int:
    """How far the ladder's steps are apart at so many tokens."""
    bits = (tokens - 1).bit_length()
    return 1 << max(3, min(5, bits), bits - 5)

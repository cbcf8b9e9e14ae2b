"""Pieces of work, each with a beginning, an end and its tokens -> tokens a second while all lanes were busy.

A lane is a client, or a worker of the engine. Counted from the end of every lane's first piece to the beginning of the
last piece, when one lane after the other runs dry. The server and the engine alone are counted alike.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """A request, or a batch."""

    begun: float
    ended: float
    tokens: int


def tokens_per_s(pieces: Sequence[Piece], lanes: int, *, in_turns: bool = False) -> float:
    """The pieces are in the order in which they were begun; of less than three a lane, the whole time counts.

    Of a piece that is partly in the time that counts, its part is taken. Where batches run one after the other
    (`in_turns`) that time begins and ends with a batch, and what ended in it is taken whole: pieces wait before they
    run, so that a part of their time says little.
    """
    begin, end = max(piece.ended for piece in pieces[:lanes]), max(piece.begun for piece in pieces)
    if len(pieces) < 3 * lanes or begin >= end:
        begin, end = min(piece.begun for piece in pieces), max(piece.ended for piece in pieces)
    if in_turns:
        return sum(piece.tokens for piece in pieces if begin < piece.ended <= end) / (end - begin)
    made = 0.0
    for piece in pieces:
        within = min(piece.ended, end) - max(piece.begun, begin)
        made += piece.tokens * max(within, 0.0) / (piece.ended - piece.begun)
    return made / (end - begin)

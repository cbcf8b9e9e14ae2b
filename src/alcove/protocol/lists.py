"""How much the lists of a request come to, for all its runs together. Called by `jobs.py`.

Every run is given all of them, and they are read through where runs are looked for that may share a batch: thousands
of prompts times thousands of ids would hold up everyone else for seconds.
"""

from collections.abc import Mapping
from typing import Any

from alcove.errors import InvalidRequest
from alcove.protocol.generation import MAX_IDS, GenerationRequest

MAX_LISTED = 1_048_576
"""Entries of all lists of ids, words and biases, times the runs that they are for."""
IDS_A_WORD = 4
"""Entries that one of `bad_words` counts: it is banned as the ids that it is encoded to."""


def check_lists(request: GenerationRequest, extra: Mapping[str, Any], *, prompts: int) -> None:
    """Raise `InvalidRequest`, which names the longest list, where they are too much. `extra` are the options that only
    an engine can judge: the length of theirs is checked nowhere else."""
    searches = request.use_beam_search or (request.num_beams or 1) > 1
    runs = prompts * (1 if searches else max(request.n, request.best_of or 1))
    entries = {
        "stop_token_ids": len(request.stop_token_ids),
        "allowed_token_ids": len(request.allowed_token_ids or ()),
        "logit_bias": len(request.logit_bias),
        "bad_words": len(request.bad_words) * IDS_A_WORD,
        "bad_words_ids": sum(map(len, request.bad_words_ids)),
        **{name: _entries(value) for name, value in extra.items()},
    }
    longest = max(entries, key=lambda name: entries[name])
    if entries[longest] > MAX_IDS:
        problem = f"at most {MAX_IDS} entries"
    elif (listed := sum(entries.values())) * runs > MAX_LISTED:
        problem = (
            f"all lists of the request have {listed} entries, and it has {runs} prompts or choices, more than "
            f"{MAX_LISTED} entries for all of these; shorten the lists, or send several requests"
        )
    else:
        return
    raise InvalidRequest(f"'{longest}': {problem}.", param=longest, code="invalid_value")


def _entries(value: Any) -> int:
    """Of a list or an object, and of those in it."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return len(value) + sum(_entries(item) for item in inner if isinstance(item, dict | list))

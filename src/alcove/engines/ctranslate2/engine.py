"""Runs come in as the tokenizer's ids, closed batches go to CTranslate2, steps come out. Implements `BatchEngine`.

Greedy and sampled tokens come one by one by the library's callback; a beam search has none (refused by its
`validate_decoding_options`), so its outputs arrive whole with their scores.
"""

from collections.abc import Hashable, Mapping, Sequence

from alcove.engines.base import BatchSink, Capabilities
from alcove.engines.ctranslate2.beams import beam_steps
from alcove.engines.ctranslate2.library import Library, Tokens
from alcove.engines.ctranslate2.row import Row
from alcove.engines.ctranslate2.search import CAUSAL_OPTIONS, SEQ2SEQ_OPTIONS, Search, make_search
from alcove.engines.ctranslate2.special import SpecialTokens
from alcove.engines.ctranslate2.tables import Tables
from alcove.errors import EngineFailure, InvalidRequest
from alcove.runs import Run
from alcove.store.folder import Kind


class CTranslate2Engine:
    """A loaded model; made by `load`."""

    def __init__(
        self, library: Library, kind: Kind, tables: Tables, special: SpecialTokens, *, workers: int, cuda: bool
    ) -> None:
        self._library = library
        self._kind = kind
        self._tables = tables
        self._special = special
        self._cuda = cuda
        self.workers = workers
        """Batches that may run at the same time: the library's replicas."""
        self.capabilities = Capabilities(engine="ctranslate2", options=_options(kind, special))
        """What is honoured for this model."""

    def check(self, run: Run) -> None:
        """Refuse ids that the model lacks and options that do not go together; raises `InvalidRequest`."""
        if not run.tokens:
            raise InvalidRequest("The prompt is empty.", param="prompt")
        self._source(run)
        self._prefix(run)
        self._search(run)

    def batch_key(self, run: Run) -> Hashable:
        """The library's options hold for a whole batch, so runs share one that need the same."""
        return self._search(run)

    def run(self, runs: Sequence[Run], sink: BatchSink) -> None:
        """Run these to their ends; all have the same `batch_key`."""
        search = self._search(runs[0])
        rows = [self._row(run, search, sink) for run in runs]
        rows = [row for row in rows if not row.end_at_once()]
        if not rows:
            return
        callback = None if search.beams > 1 else lambda number, token: rows[number].take(token)
        results = self._library.generate(
            [self._source(row.run) for row in rows],
            [self._prefix(row.run) for row in rows],
            search,
            max(row.forced + row.limit for row in rows),
            callback,
        )
        for row, (outputs, scores) in zip(rows, results, strict=True):
            if search.beams > 1:
                for step in beam_steps(row, outputs, scores, self._tables, self._special.ends):
                    sink(step)
            elif row.failure is not None:
                raise EngineFailure(f"run {row.run.id} failed in CTranslate2's callback") from row.failure
            elif not row.ended:
                # A source without content (its special tokens apart) has an empty output in CTranslate2, made without
                # the model and the callback (`EncoderDecoderReplica::skip_translation`).
                row.end()

    def close(self) -> None:
        """Release the model."""
        self._library.close()

    def _search(self, run: Run) -> Search:
        return make_search(run, self._kind, self._tables.target, self._special.ends, self._special.bos, cuda=self._cuda)

    def _row(self, run: Run, search: Search, sink: BatchSink) -> Row:
        if search.loops_prompt:
            forced = len(run.tokens) - 1
        else:
            forced = len(self._prefix(run)) - (self._kind == "seq2seq" and self._special.start_is_prefix)
        return Row(run, forced, self._tables.target, self._special.ends, sink)

    def _source(self, run: Run) -> Tokens:
        tokens = [self._tables.source.string(token) for token in run.tokens]
        if None in tokens:
            wrong = run.tokens[tokens.index(None)]
            raise InvalidRequest(
                f"The prompt has the token id {wrong}, which this model does not have.", param="prompt"
            )
        return self._special.without_added(tokens)  # type: ignore[arg-type]  # no None is left

    def _prefix(self, run: Run) -> Tokens:
        """The decoder's first tokens. A model without a start token of its own (mBART-25) starts from the language."""
        if self._kind == "causal":
            return []
        forced_bos = run.forced_bos
        if self._special.start_is_prefix and forced_bos is None:
            forced_bos = self._special.start
        if self._special.start_is_prefix and forced_bos is None:
            raise InvalidRequest("'target_lang' is needed: this model starts from it.", param="target_lang")
        ids = run.prefix if forced_bos is None else (forced_bos, *run.prefix)
        tokens = [self._tables.target.string(token) for token in ids]
        if None in tokens:
            wrong = ids[tokens.index(None)]
            param = "target_lang" if wrong == forced_bos else "prompt"
            raise InvalidRequest(
                f"The answer must begin with the token id {wrong}, which this model lacks.", param=param
            )
        return tokens  # type: ignore[return-value]  # no None is left


def _options(kind: Kind, special: SpecialTokens) -> Mapping[str, str]:
    if kind == "causal":
        return CAUSAL_OPTIONS
    if special.start_is_end:
        # transformers penalises the decoder's start token, too, and with it the end; CTranslate2 does not see it
        return {name: how for name, how in SEQ2SEQ_OPTIONS.items() if name != "repetition_penalty"}
    return SEQ2SEQ_OPTIONS

"""Runs come in as the tokenizer's ids, closed batches go to CTranslate2, steps come out. Implements `BatchEngine`.

Greedy and sampled tokens come one by one by the library's callback; a beam search has none (refused by its
`validate_decoding_options`), so its outputs arrive whole with their scores.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from alcove.engines.base import BatchSink, Capabilities
from alcove.engines.ctranslate2.beams import beam_steps
from alcove.engines.ctranslate2.contest import settle
from alcove.engines.ctranslate2.library import Callback, Causal, Library, Outputs, Tokens
from alcove.engines.ctranslate2.offered import options_offered
from alcove.engines.ctranslate2.row import Row
from alcove.engines.ctranslate2.search import Search, make_search
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
        self._draw = np.random.default_rng()
        self.workers = workers
        """Batches that may run at the same time: the library's replicas."""
        self.capabilities = Capabilities(
            engine="ctranslate2", options=options_offered(kind, start_is_end=special.start_is_end)
        )
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
        rows = [row for run in runs if not (row := self._row(run, search, sink)).end_at_once()]
        if rows and search.beams > 1:
            self._search_beams(rows, search, sink)
            return
        while rows:
            self._make_tokens(rows, search)
            rows = [row for row in rows if row.contested and not self._settle(row, search)]

    def _search_beams(self, rows: list[Row], search: Search, sink: BatchSink) -> None:
        forced_eos = rows[0].run.forced_eos is not None
        found = dict(zip(rows, self._generate(rows, search, more=int(forced_eos)), strict=True))
        # Where an end must stand at the limit, transformers first looks whether the search has ended by itself before;
        # if not, what is found one token earlier gets that end. The best output is exact; behind it one may be missing
        # that CTranslate2 keeps for a beam that ends in its last step and would only have looked at in the next.
        cut = [row for row, (outputs, _) in found.items() if any(row.is_beyond(output) for output in outputs)]
        if forced_eos and cut:
            found |= zip(cut, self._generate(cut, search), strict=True)
        for row, outputs in found.items():
            for step in beam_steps(row, *outputs, self._tables, self._special.ends):
                sink(step)

    def _make_tokens(self, rows: list[Row], search: Search) -> None:
        """Bring each row to its end, or to where it is contested."""
        for row in rows:
            row.begin()
        self._generate(rows, search, callback=lambda number, token: rows[number].take(token))
        for row in rows:
            if not row.ended and not row.contested:
                # A source without content (its special tokens apart) has an empty output in CTranslate2, made without
                # the model and the callback (`EncoderDecoderReplica::skip_translation`).
                row.end()
        for row in rows:
            if row.failure is not None:
                raise EngineFailure(f"run {row.run.id} failed in CTranslate2's callback") from row.failure

    def _generate(
        self, rows: list[Row], search: Search, *, callback: Callback | None = None, more: int = 0
    ) -> Sequence[Outputs]:
        """Call the library, for `more` tokens than the rows' limits."""
        return self._library.generate(
            [self._source(row.run, row.made) for row in rows],
            [self._prefix(row.run) for row in rows],
            search,
            max(row.forced + row.limit for row in rows) + more,
            callback,
        )

    def _settle(self, row: Row, search: Search) -> bool:
        """Put into the row what comes where the library chose a token without its penalty; True ends the row."""
        assert isinstance(self._library, Causal)
        logits = self._library.logits_after(self._source(row.run, row.made), search)
        first = self._tables.target.library_id(row.run.tokens[0])
        assert first is not None
        return row.give(settle(logits, first, row.run.options, self._draw))

    def close(self) -> None:
        """Release the model."""
        self._library.close()

    def _search(self, run: Run) -> Search:
        return make_search(
            run, self._kind, self._tables.target, self._special.ends, self._special.start, cuda=self._cuda
        )

    def _row(self, run: Run, search: Search, sink: BatchSink) -> Row:
        if search.loops_prompt:
            forced = len(run.tokens) - 1
        else:
            forced = len(self._prefix(run)) - (self._kind == "seq2seq" and self._special.start_is_prefix)
        # a first token that occurs again is seen there
        unseen = search.loops_prompt and run.options.repetition_penalty != 1.0 and run.tokens[0] not in run.tokens[1:]
        watched = self._tables.target.library_id(run.tokens[0]) if unseen else None
        return Row(run, forced, self._tables.target, self._special.ends, sink, watched=watched)

    def _source(self, run: Run, made: Sequence[int] = ()) -> Tokens:
        """The source's strings, with what is `made` already of a decoder-only model's output."""
        ids = (*run.tokens, *made) if self._kind == "causal" else run.tokens
        tokens = [self._tables.source.string(token) for token in ids]
        if None in tokens:
            wrong = ids[tokens.index(None)]
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

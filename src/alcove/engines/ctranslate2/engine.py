"""Runs come in as the tokenizer's ids, closed batches go to CTranslate2, steps come out. Implements `BatchEngine`.

Greedy and sampled tokens come one by one by the library's callback; a beam search has none (refused by its
`validate_decoding_options`), so its outputs arrive whole with their scores.
"""

from collections.abc import Hashable, Sequence

from alcove.engines.base import BatchSink, Capabilities
from alcove.engines.ctranslate2.beams import beam_steps
from alcove.engines.ctranslate2.checks import check_options
from alcove.engines.ctranslate2.choice import Chooser
from alcove.engines.ctranslate2.cost import cost, length
from alcove.engines.ctranslate2.honoured import IMPOSSIBLE, honoured
from alcove.engines.ctranslate2.library import Callback, Causal, Library, Outputs, Tokens
from alcove.engines.ctranslate2.logprobs import prompt_logprobs
from alcove.engines.ctranslate2.penalties import Penalties
from alcove.engines.ctranslate2.row import Row
from alcove.engines.ctranslate2.search import Search, make_search, wanted_sampling
from alcove.engines.ctranslate2.special import SpecialTokens
from alcove.engines.ctranslate2.stride import Stride
from alcove.engines.ctranslate2.tables import Tables
from alcove.engines.faults import fault_of
from alcove.errors import EngineFailure, InvalidRequest
from alcove.runs import Run, Step, TokenLogprob
from alcove.store.folder import Kind

LOGITS_BYTES = 512 * 1024 * 1024
"""Most that the logits of one call may take: the library keeps those of every step until the call's end."""


class CTranslate2Engine:
    """A loaded model; made by `load`."""

    def __init__(
        self,
        library: Library,
        kind: Kind,
        tables: Tables,
        special: SpecialTokens,
        *,
        workers: int,
        threads: int,
        cuda: bool,
        mixed: bool,
    ) -> None:
        """`mixed`: whether prompts of different lengths may share a batch of a decoder-only model."""
        self._library = library
        self._kind = kind
        self._tables = tables
        self._special = special
        self._cuda = cuda
        self._mixed = mixed
        self.workers = workers
        """Batches that may run at the same time: the library's replicas."""
        self.cores = 0 if cuda else threads
        """Cores that a batch keeps busy: the threads of a replica."""
        self.capabilities = Capabilities(engine="ctranslate2", options=honoured(kind), impossible=IMPOSSIBLE)
        """What is honoured for this model."""
        self._ends = frozenset(tables.target.tokenizer_id(end) for end in special.ends)

    def check(self, run: Run) -> None:
        """Refuse ids that the model lacks and options that do not go together; raises `InvalidRequest`."""
        if not run.tokens:
            raise InvalidRequest("The prompt is empty.", param="prompt")
        source = self._source(run)
        self._prefix(run)
        check_options(run, self._kind, self._tables.target)
        if run.prompt_logprobs is not None and run.prefix and self._special.are_all(source):
            raise InvalidRequest("'prompt_logprobs' needs a prompt with content on this engine.", param="prompt")

    def batch_key(self, run: Run) -> Hashable:
        """The library's options hold for a whole batch, so runs share one that need the same."""
        return self._search(run)

    def length(self, run: Run) -> int:
        """Tokens that are read before one is made."""
        return length(run, self._kind)

    def cost(self, runs: Sequence[Run]) -> float:
        """In steps of one row; see `cost.py`."""
        return cost(runs, self._kind)

    def run(self, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
        """Run these, which have the same `batch_key`, to their ends or to a token that the library would not choose;
        returns those that must go on."""
        search = self._search(runs[0])
        rows = [row for run in runs if not (row := self._row(run, search, sink)).end_at_once()]
        if rows and search.beams > 1:
            self._search_beams(rows, search, sink)
            return []
        later: list[Row] = []
        while search.logits and len(rows) > 1 and self._logits_bytes(rows) > LOGITS_BYTES:
            later.insert(0, rows.pop())
        if rows:
            stride = Stride(rows, self._begins(rows), sink)
            self._generate(rows, search, callback=stride.take)
            if stride.failure is not None:
                raise EngineFailure("the news of a batch could not be handed on") from stride.failure
        for row in rows:
            if row.failure is not None:  # it alone: the others have what is theirs
                reason = f"it failed in CTranslate2's callback: {row.failure!r}"
                sink.add(Step(run=row.run.id, error=reason, fault=fault_of(row.failure)))
            elif not row.seen:
                # A source without content (its special tokens apart) has an empty output in CTranslate2, made without
                # the model and the callback (`EncoderDecoderReplica::skip_translation`).
                row.end()
        return [row.continued() for row in (*rows, *later) if not row.ended]

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
                sink.add(step)

    def _begins(self, rows: Sequence[Row]) -> list[int]:
        """The step of the library at which each row is told of its first token. What a Generator's prompts have beyond
        the shortest goes through its steps, without a word."""
        if self._kind == "seq2seq":
            return [0] * len(rows)
        lengths = [length(row.run, self._kind) for row in rows]
        shortest = min(lengths)
        return [mine - shortest for mine in lengths]

    def _generate(
        self, rows: list[Row], search: Search, *, callback: Callback | None = None, more: int = 0
    ) -> Sequence[Outputs]:
        """Call the library, for `more` tokens than the rows' limits."""
        return self._library.generate(
            [self._source(row.run)[row.run.shared :] for row in rows],
            [self._prefix(row.run) for row in rows],
            search,
            max(row.steps for row in rows) + more,
            callback,
            self._source(rows[0].run)[: rows[0].run.shared],
        )

    def close(self) -> None:
        """Release the model."""
        self._library.close()

    def _search(self, run: Run) -> Search:
        return make_search(run, self._kind, self._tables.target, self._special, cuda=self._cuda, mixed=self._mixed)

    def _row(self, run: Run, search: Search, sink: BatchSink) -> Row:
        forced = len(self._prefix(run)) - (self._kind == "seq2seq" and self._special.start_is_prefix)
        chooser = self._chooser(run, search) if search.chooses else None
        prompt = self._prompt_logprobs(run)
        return Row(run, forced, self._tables.target, self._ends, sink, chooser=chooser, prompt=prompt)

    def _chooser(self, run: Run, search: Search) -> Chooser:
        target = self._tables.target
        given, forced = run.tokens, 0
        if self._kind == "seq2seq":
            lead = self._prefix_ids(run)
            start = () if self._special.start_is_prefix or self._special.start is None else (self._special.start,)
            given = (*start, *lead)
            # a forced first token counts as new, unless a prefix follows it, as in transformers
            forced = int(run.forced_bos is not None and not self._special.start_is_prefix and not run.prefix)
        return Chooser(
            Penalties(run.options, sorted(self._ends), target.tokenizer_size),
            given,
            forced=forced,
            sampling=wanted_sampling(run.options),
            proposal=search.proposal,
            seed=run.options.seed,
            absent=target.dropped,
        )

    def _prompt_logprobs(self, run: Run) -> tuple[TokenLogprob | None, ...]:
        """Those of a causal model's prompt, by a pass of their own; those of a decoder's prefix come with its steps."""
        if run.prompt_logprobs is None or run.made or not isinstance(self._library, Causal):
            return ()
        target = self._tables.target
        logits = [target.in_tokenizer_order(row) for row in self._library.prompt_logits(self._source(run))]
        return prompt_logprobs(logits, run.tokens, run.prompt_logprobs)

    def _logits_bytes(self, rows: Sequence[Row]) -> int:
        return 4 * self._tables.target.size * len(rows) * max(row.steps for row in rows)

    def _source(self, run: Run) -> Tokens:
        """The encoder's source, or what a causal model goes on from."""
        tokens = [self._tables.source.string(token) for token in run.tokens]
        if None in tokens:
            wrong = run.tokens[tokens.index(None)]
            raise InvalidRequest(
                f"The prompt has the token id {wrong}, which this model does not have.", param="prompt"
            )
        source = self._special.without_added(tokens)  # type: ignore[arg-type]  # no None is left
        return source if self._kind == "seq2seq" else source + self._made(run)

    def _prefix(self, run: Run) -> Tokens:
        """The decoder's first tokens."""
        if self._kind == "causal":
            return []
        ids = self._prefix_ids(run)
        tokens = [self._tables.target.string(token) for token in ids]
        if None in tokens:
            wrong = ids[tokens.index(None)]
            param = "target_lang" if wrong == run.forced_bos else "prompt"
            raise InvalidRequest(
                f"The answer must begin with the token id {wrong}, which this model lacks.", param=param
            )
        return [*tokens, *self._made(run)]  # type: ignore[list-item]  # no None is left

    def _prefix_ids(self, run: Run) -> tuple[int, ...]:
        """A model without a start token of its own (mBART-25) starts from the language."""
        forced_bos = run.forced_bos
        if self._special.start_is_prefix and forced_bos is None:
            forced_bos = self._special.start
        if self._special.start_is_prefix and forced_bos is None:
            raise InvalidRequest("'target_lang' is needed: this model starts from it.", param="target_lang")
        return run.prefix if forced_bos is None else (forced_bos, *run.prefix)

    def _made(self, run: Run) -> Tokens:
        """What the run has made in earlier batches."""
        return [token for number in run.made if (token := self._tables.target.made_string(number)) is not None]

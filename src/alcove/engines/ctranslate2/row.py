"""One run's place in a batch: takes the library's tokens one by one, gives steps. Used by `engine.py`."""

import logging
from collections.abc import Container, Sequence
from dataclasses import replace

from alcove.engines.base import BatchSink
from alcove.engines.ctranslate2.choice import Chooser
from alcove.engines.ctranslate2.library import ReadLogits
from alcove.engines.ctranslate2.logprobs import token_logprob
from alcove.engines.ctranslate2.penalties import Scores
from alcove.engines.ctranslate2.tables import Table
from alcove.runs import FinishReason, Run, Step, TokenLogprob

logger = logging.getLogger(__name__)


class Row:
    """Counts a run's tokens and ends it once, at its own limit though the batch's may be higher."""

    def __init__(
        self,
        run: Run,
        forced: int,
        target: Table,
        ends: Container[int],
        sink: BatchSink,
        *,
        chooser: Chooser | None = None,
        prompt: tuple[TokenLogprob | None, ...] = (),
    ) -> None:
        """`forced`: how many of the tokens that come first were given to the library, not made by it. `ends`: the
        tokenizer's ids that end an output. `prompt`: log-probabilities of the prompt, for the first step."""
        self.run = run
        self.forced = forced
        # transformers' last token at the limit is the forced one, so that one less can be seen
        ends_at_limit = run.forced_eos is not None and not (run.options.ignore_eos and run.forced_eos in ends)
        self.limit = max(run.max_new_tokens - ends_at_limit, 0)
        self.output = list(run.made)
        """What has been delivered, in this batch or before."""
        self.ended = False
        self.failure: BaseException | None = None
        """What broke in `take`."""
        self.seen = 0
        """Tokens of the library so far, given ones included."""
        self._target = target
        self._stops = frozenset(run.options.stop_token_ids or ())
        self._ends = ends
        self._sink = sink
        self._chooser = chooser
        self._prompt = list(prompt)
        self._prompt_wanted = range(0)
        """Which of the given tokens (from 1) are the prefix whose log-probabilities are wanted still."""
        if run.prompt_logprobs is not None and not run.made:
            self._prompt_wanted = range(forced - len(run.prefix) + 1, forced + 1)

    @property
    def steps(self) -> int:
        """Steps of the library until the limit is reached."""
        return self.forced + self.limit - len(self.run.made)

    def is_beyond(self, output: Sequence[str]) -> bool:
        """Whether an output of a beam search, its given tokens and its end counted, is longer than may be."""
        return len(output) > self.forced + self.limit

    def take(self, token: int, read: ReadLogits | None) -> bool:
        """The library has made `token` (its own id); `read` gives the logits, None where they are not wanted. True
        when it shall make no more. Never raises: an exception that reaches the library ends the process
        (`std::terminate`, when a second waiter is told of it)."""
        try:
            return self._take(token, None if read is None else self._target.in_tokenizer_order(read()))
        except BaseException as error:  # see above
            logger.exception("Run %s failed in CTranslate2's callback", self.run.id)
            self.failure = error
            self.ended = True
            return True

    def _take(self, token: int, logits: Scores | None) -> bool:
        if self.ended:
            return True
        self.seen += 1
        offered = self._target.tokenizer_id(token)
        if self.seen <= self.forced:
            return self._take_given(offered, logits)
        chosen: int | None = offered
        if self._chooser is not None:
            assert logits is not None
            chosen = self._chooser.choose(logits, offered, self.output)
        if chosen is None or chosen in self._ends:
            self.end(logprobs=() if chosen is None else self._logprobs(chosen, logits))
        else:
            self._deliver(chosen, logits)
        # a row whose token is another than the library's cannot go on in this call
        return self.ended or chosen != offered

    def _take_given(self, token: int, logits: Scores | None) -> bool:
        if self.seen in self._prompt_wanted:
            assert logits is not None
            self._prompt.append(token_logprob(logits, token, self.run.prompt_logprobs or 0))
        if self.seen == self.forced and not self.limit:
            self.end("length")
        return self.ended

    def _deliver(self, token: int, logits: Scores | None) -> None:
        self.output.append(token)
        finish: FinishReason | None = None
        if token in self._stops:
            finish = "stop"
        elif len(self.output) >= self.limit:
            finish = "length"
        if logits is None and not self._prompt:  # most of all tokens come this way
            step = Step(run=self.run.id, tokens=(token,), finish=finish)
        else:
            prompt, logprobs = self.first_news(), self._logprobs(token, logits)
            step = Step(run=self.run.id, tokens=(token,), logprobs=logprobs, prompt_logprobs=prompt, finish=finish)
        self.ended = self._sink.add(step) or finish is not None

    def _logprobs(self, token: int, logits: Scores | None) -> tuple[TokenLogprob, ...]:
        wanted = self.run.logprobs
        return () if wanted is None or logits is None else (token_logprob(logits, token, wanted),)

    def end(self, finish: FinishReason = "stop", logprobs: tuple[TokenLogprob, ...] = ()) -> None:
        """The output is complete: the model ended it, by a token of these `logprobs`, or there is room for no more."""
        self.ended = True
        self._sink.add(Step(run=self.run.id, logprobs=logprobs, prompt_logprobs=self.first_news(), finish=finish))

    def end_at_once(self) -> bool:
        """Whether there is nothing for the library to do; the run has then ended."""
        if not self.limit and not self._prompt_wanted:
            self.end("length")
        return self.ended

    def continued(self) -> Run:
        """The run as it must go on in a later batch."""
        return replace(self.run, made=tuple(self.output))

    def first_news(self) -> tuple[TokenLogprob | None, ...]:
        """The prompt's log-probabilities, where they are wanted and have not been delivered."""
        prompt, self._prompt = tuple(self._prompt), []
        return prompt

"""One output on its way from steps to events: tokens become text, stop strings end it. Used by `pipeline/model.py`."""

from collections.abc import Sequence
from dataclasses import dataclass

from alcove.jobs import Event, Job, TokenText
from alcove.pipeline.text.chain import TextChain
from alcove.pipeline.token_texts import TokenTexts
from alcove.runs import FinishReason, Step, TokenLogprob


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What the events of one job's outputs hold."""

    number: int
    """The job's index."""
    job: Job
    prompt_ids: tuple[int, ...]
    given: tuple[int, ...]
    """Tokens that the run's `prompt_logprobs` are those of."""
    unasked: int = 0
    """How many of them, the first ones, nobody wants to know of."""
    lead: str = ""
    """Text before the answer's own."""
    given_at: int = 0
    """Where in it the given tokens begin."""
    stop_ids: frozenset[int] = frozenset()
    end: int | None = None
    """The id of the model's own end of sequence."""


class Output:
    """Gathers what has come for one output since its last event."""

    def __init__(self, form: Form, output: int, text: TextChain, tokens: TokenTexts, *, prompt_tokens: int) -> None:
        self._form = form
        self._output = output
        self._chain = text
        self._token_texts = tokens
        self._prompt_tokens = prompt_tokens
        self._prompt_ids = form.prompt_ids
        self._prompt_logprobs: tuple[TokenText, ...] = ()
        self._text = form.lead
        self._ids: list[int] = []
        self._logprobs: list[TokenText] = []
        self._end: TokenText | None = None
        self._stop: str | int | None = None
        self._min_tokens = form.job.options.min_new_tokens or 0
        self._made = 0
        self._known = 0
        self._sum = 0.0
        self.finish: FinishReason | None = None
        """Why the output has ended; None while it goes on."""

    @property
    def mean_logprob(self) -> float:
        """Log-probability a token, of those that the engine has told; least of all where it has told none."""
        return self._sum / self._known if self._known else float("-inf")

    def give(self, known: Sequence[TokenLogprob | None]) -> None:
        """Take in what the model thinks of the given tokens; it comes before the output's own."""
        form, job = self._form, self._form.job
        if job.echo and job.logprobs is not None:
            self._logprobs += self._token_texts.given(
                form.given, known, job.logprobs, offset=form.given_at, skip_special=job.skip_special
            )
        if job.prompt_logprobs is not None or job.continuation is not None:
            told = self._token_texts.given(form.given, known, job.prompt_logprobs or 0, skip_special=job.skip_special)
            self._prompt_logprobs = told[form.unasked :]

    def take(self, step: Step) -> None:
        """Take a step in. After a stop string nothing more counts, neither text nor tokens."""
        if self.finish is not None:
            return
        for place, token in enumerate(step.tokens):
            self._made += 1
            self._ids.append(token)
            if step.logprobs:
                self._tell(token, step.logprobs[place])
            if step.finish == "stop" and place + 1 == len(step.tokens) and token in self._form.stop_ids:
                self._stop = token
                self._text += self._chain.feed((token,)) if self._form.job.include_stop else ""
            else:
                self._text += self._chain.feed((token,), search=self._made > self._min_tokens)
            if self._chain.stopped:
                self.finish, self._stop = "stop", self._chain.stop
                return
        if step.finish is not None:
            self._text += self._chain.flush()
            # held-back text may complete a stop string only now
            self.finish = "stop" if self._chain.stopped else step.finish
            self._stop = self._chain.stop or self._stop
            for known in step.logprobs[len(step.tokens) :]:
                self._end = self._told(self._form.end or 0, known)

    def event(self) -> Event:
        """What has come since the last event."""
        event = Event(
            job=self._form.number,
            output=self._output,
            text=self._text,
            tokens=len(self._ids),
            prompt_tokens=self._prompt_tokens,
            ids=tuple(self._ids),
            logprobs=tuple(self._logprobs),
            end=self._end,
            prompt_ids=self._prompt_ids,
            prompt_logprobs=self._prompt_logprobs,
            finish=self.finish,
            stop=self._stop if self.finish else None,
        )
        self._text, self._prompt_tokens, self._prompt_ids, self._prompt_logprobs = "", 0, (), ()
        self._ids, self._logprobs, self._end = [], [], None
        return event

    def _tell(self, token: int, known: TokenLogprob) -> None:
        if told := self._told(token, known):
            self._logprobs.append(told)

    def _told(self, token: int, known: TokenLogprob) -> TokenText | None:
        """What the job wants to know of a token that was made; counted, whether it does or not."""
        self._known += 1
        self._sum += known.logprob
        wanted = self._form.job.logprobs
        if wanted is None:
            return None
        return self._token_texts.one(token, known, wanted, len(self._form.lead) + self._chain.length)

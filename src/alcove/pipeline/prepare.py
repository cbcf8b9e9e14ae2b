"""From a job to the runs an engine is asked for: prompt, tokens, languages, limits, options.

Called by `pipeline/model.py` in a worker thread, so that no prompt, however long, holds up the event loop.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alcove.config.settings import ModelSettings
from alcove.engines.base import Engine
from alcove.errors import InvalidRequest
from alcove.jobs import Job
from alcove.pipeline.bans import bad_word_ids, check_ids
from alcove.pipeline.best_of import BestOf
from alcove.pipeline.budget import Budget
from alcove.pipeline.encode import Encoded, Encoder
from alcove.pipeline.known_ids import check_known
from alcove.pipeline.limits import limits_of
from alcove.pipeline.options import model_options, require, run_options
from alcove.pipeline.output import Form, Output
from alcove.pipeline.text.chain import text_chain
from alcove.pipeline.token_texts import TokenTexts
from alcove.pipeline.tokenizer import Tokenizer
from alcove.runs import Options, Run
from alcove.store.folder import ModelFolder
from alcove.store.generation import generation_from


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, and what becomes of its outputs."""

    run: Run
    outputs: tuple[Output, ...]
    best_of: BestOf | None = None
    """Which of the outputs of this run and its siblings are told; None: all."""

    @property
    def ended(self) -> bool:
        """Whether all outputs have ended."""
        return all(output.finish is not None for output in self.outputs)


class Preparer:
    """Everything that is known of a model before a request comes."""

    def __init__(self, folder: ModelFolder, settings: ModelSettings, tokenizer: Tokenizer, engine: Engine) -> None:
        """Raises `ConfigurationError` or `ModelLoadError` for what does not fit together."""
        own = generation_from(settings.generation, folder.kind, source=f"model '{settings.name}': generation")
        self._causal = folder.kind == "causal"
        self._tokenizer = tokenizer
        self._texts = TokenTexts(tokenizer)
        self._engine = engine
        self._limits = limits_of(folder, settings, own)
        self._end = next(iter(own.eos or folder.generation.eos), tokenizer.eos_id)
        self.encoder = Encoder(
            folder,
            settings,
            tokenizer,
            self._limits,
            forced_bos=own.forced_bos or folder.generation.forced_bos,
            end=self._end,
        )
        self._forced_eos = own.forced_eos or folder.generation.forced_eos
        self._options = model_options(settings.name, own.options, folder.generation.options, engine.capabilities)
        self._max_request_tokens = settings.max_request_tokens

    @property
    def max_tokens(self) -> int:
        """Most tokens of a prompt, and of a causal model's answer with it."""
        return self._limits.longest_input

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of ids, special tokens included. Raises `InvalidRequest` for an id that there is not."""
        check_known("tokens", tokens, range(len(self._tokenizer.target_tokens)))
        return self._tokenizer.decode(tokens, skip_special=False)

    def token_strings(self, tokens: Sequence[int]) -> list[str]:
        """The strings of a prompt's ids, as the vocabulary writes them."""
        return [self._tokenizer.source_tokens[token] or "" for token in tokens]

    def prepare(self, jobs: Sequence[Job]) -> list[Plan]:
        """The runs of a request's jobs; raises `InvalidRequest` for what cannot be honoured."""
        budget = Budget(self._max_request_tokens)
        return [plan for number, job in enumerate(jobs) for plan in self._plans(number, job, budget)]

    def _plans(self, number: int, job: Job, budget: Budget) -> list[Plan]:
        encoded = self.encoder.encode(job)
        forced = len(encoded.prefix) + (encoded.forced_bos is not None)
        given = encoded.tokens if self._causal else encoded.prefix
        run = Run(
            id=uuid.uuid4().hex,
            tokens=encoded.tokens,
            max_new_tokens=self._limits.room(len(encoded.tokens), forced, job),
            shared=encoded.shared,
            prefix=encoded.prefix,
            forced_bos=encoded.forced_bos,
            forced_eos=self._forced_eos,
            options=self._run_options(job, encoded),
            logprobs=self._logprobs(job),
            prompt_logprobs=self._prompt_logprobs(job, given),
        )
        wanted = _wanted(run, job)
        budget.spend(run, job, wanted, len(given))
        runs = _runs(run, job, wanted)
        self._engine.check(runs[0])
        form = self._form(number, job, encoded, given, run)
        outputs = [self._output(form, index, encoded) for index in range(max(wanted, job.outputs))]
        best_of = BestOf(outputs, job.outputs) if wanted > job.outputs else None
        if run.options.num_beams != 1:
            return [Plan(runs[0], tuple(outputs))]
        return [Plan(run, (output,), best_of) for run, output in zip(runs, outputs, strict=True)]

    def _run_options(self, job: Job, encoded: Encoded) -> Options:
        options = run_options(
            job.options, encoded.prepared.options, self._options, self._engine.capabilities, job.names
        )
        check_ids(options, len(self._tokenizer.target_tokens))
        words = list(options.bad_words_ids or ())
        words += [self._tokenizer.encode_target(text) for text in encoded.prepared.suppress]
        if job.bad_words:
            require("bad_words_ids", self._engine.capabilities, field="bad_words")
            words += bad_word_ids(job.bad_words, self._tokenizer)
        return replace(options, bad_words_ids=tuple(words))

    def _logprobs(self, job: Job) -> int | None:
        """How many alternatives the run must tell for each of its tokens; `best_of` needs none, but the tokens' own."""
        best_of = job.best_of is not None and job.best_of > job.outputs
        if job.logprobs is not None:
            require("logprobs", self._engine.capabilities, field="logprobs")
        elif best_of:
            require("logprobs", self._engine.capabilities, field="best_of")
        return 0 if job.logprobs is None and best_of else job.logprobs

    def _prompt_logprobs(self, job: Job, given: Sequence[int]) -> int | None:
        """The same for the tokens that the run is given."""
        echoed = job.logprobs if job.echo else None
        scored = 0 if job.continuation is not None else None
        wanted = [number for number in (job.prompt_logprobs, echoed, scored) if number is not None]
        if not wanted:
            return None
        field = "prompt_logprobs" if job.prompt_logprobs is not None else "logprobs" if job.echo else job.param
        require("prompt_logprobs", self._engine.capabilities, field=field)
        if not given:
            raise InvalidRequest(
                f"'{field}': the prompt of an encoder-decoder has no log-probabilities; they are told of a "
                "'decoder_prefix'.",
                param=field,
                code="unsupported_parameter",
            )
        return max(wanted)

    def _form(self, number: int, job: Job, encoded: Encoded, given: tuple[int, ...], run: Run) -> Form:
        lead, at = "", 0
        if job.echo:
            lead = job.prompt if isinstance(job.prompt, str) else self._decode(run.tokens, job)
            if not self._causal:
                at = len(lead)
                lead += self._decode(run.prefix, job)
        return Form(
            number=number,
            job=job,
            prompt_ids=run.tokens,
            given=given,
            unasked=encoded.known,
            lead=lead,
            given_at=at,
            stop_ids=frozenset(run.options.stop_token_ids or ()),
            end=self._end,
        )

    def _decode(self, tokens: Sequence[int], job: Job) -> str:
        return self._tokenizer.decode(tokens, skip_special=job.skip_special)

    def _output(self, form: Form, index: int, encoded: Encoded) -> Output:
        job = form.job
        chain = text_chain(
            self._tokenizer,
            job.stop,
            encoded.prepared,
            keep_stop=job.include_stop,
            skip_special=job.skip_special,
        )
        # a prompt counts once, however many outputs it has; so does a text that is scored
        scored = len(encoded.prefix) if job.continuation is not None else 0
        prompt_tokens = len(encoded.tokens) + scored if index == 0 else 0
        return Output(form, index, chain, self._texts, prompt_tokens=prompt_tokens)


def _wanted(run: Run, job: Job) -> int:
    """How many runs like this one the job needs. Raises `InvalidRequest` for more outputs than a search has beams."""
    beams = run.options.num_beams or 1
    if beams == 1:
        return job.best_of or job.outputs
    if job.outputs > beams:
        raise InvalidRequest(f"'n' is {job.outputs}, but the search has {beams} beams only.", param="n")
    if job.best_of not in (None, beams):
        raise InvalidRequest(
            f"'best_of' is {job.best_of}, but the search has {beams} beams: leave one of the two out.", param="best_of"
        )
    return 1


def _runs(run: Run, job: Job, wanted: int) -> list[Run]:
    """One run with several outputs for a beam search; a run for each output otherwise, each with a seed of its own."""
    if run.options.num_beams != 1:
        return [replace(run, outputs=job.outputs)]
    return [replace(run, id=f"{run.id}-{output}", options=_seeded(run.options, output)) for output in range(wanted)]


def _seeded(options: Options, output: int) -> Options:
    """Engines take seeds from 0 to 2^63; a request's may be below."""
    return options if options.seed is None else replace(options, seed=(options.seed + output) % 2**63)

"""From a job to the runs an engine is asked for: prompt, tokens, languages, limits, options.

Called by `pipeline/model.py` in a worker thread, so that no prompt, however long, holds up the event loop.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alcove.config.settings import ModelSettings
from alcove.engines.base import Engine
from alcove.errors import InvalidRequest
from alcove.jobs import Chat, Job, TokenIds
from alcove.pipeline.limits import limits_of
from alcove.pipeline.options import model_options, run_options
from alcove.pipeline.output import Output
from alcove.pipeline.prompts.prepared import Prepared
from alcove.pipeline.prompts.prompter import Prompter
from alcove.pipeline.text.chain import text_chain
from alcove.pipeline.tokenizer import Tokenizer
from alcove.pipeline.tokenizers.languages import languages_of
from alcove.runs import Options, Run
from alcove.store.folder import ModelFolder
from alcove.store.generation import generation_from


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, and what becomes of its outputs."""

    run: Run
    outputs: tuple[Output, ...]

    @property
    def ended(self) -> bool:
        """Whether all outputs have ended."""
        return all(output.finish is not None for output in self.outputs)


class Preparer:
    """Everything that is known of a model before a request comes."""

    def __init__(self, folder: ModelFolder, settings: ModelSettings, tokenizer: Tokenizer, engine: Engine) -> None:
        """Raises `ConfigurationError` or `ModelLoadError` for what does not fit together."""
        own = generation_from(settings.generation, folder.kind, source=f"model '{settings.name}': generation")
        self._kind = folder.kind
        self._tokenizer = tokenizer
        self._engine = engine
        self._prompter = Prompter(folder, settings, tokenizer)
        self._languages = languages_of(folder, tokenizer)
        self._limits = limits_of(folder, settings, own)
        self._forced_bos = own.forced_bos or folder.generation.forced_bos
        self._forced_eos = own.forced_eos or folder.generation.forced_eos
        self._options = model_options(settings.name, own.options, folder.generation.options, engine.capabilities)

    def prepare(self, jobs: Sequence[Job]) -> list[Plan]:
        """The runs of a request's jobs; raises `InvalidRequest` for what cannot be honoured."""
        return [plan for number, job in enumerate(jobs) for plan in self._plans(number, job)]

    def _plans(self, number: int, job: Job) -> list[Plan]:
        prepared = self._prepared(job)
        tokens, forced_bos = self._encoded(job, prepared), self._first_token(job)
        prefix = self._tokenizer.encode_target(prepared.prefix) if prepared.prefix else ()
        if self._kind == "causal":
            tokens, prefix = tokens + prefix, ()
        run = Run(
            id=uuid.uuid4().hex,
            tokens=tokens,
            max_new_tokens=self._limits.room(len(tokens), len(prefix) + (forced_bos is not None), job),
            prefix=prefix,
            forced_bos=forced_bos,
            forced_eos=self._forced_eos,
            options=self._run_options(job, prepared),
        )
        runs = _runs(run, job)
        self._engine.check(run)
        plans, output = [], 0
        for one in runs:
            indices = range(output, output + one.outputs)
            plans.append(Plan(one, tuple(self._output(number, index, run, job, prepared) for index in indices)))
            output += one.outputs
        return plans

    def _prepared(self, job: Job) -> Prepared:
        match job.prompt:
            case str(text):
                return self._prompter.completion(text)
            case Chat(messages):
                return self._prompter.chat(messages)
            case TokenIds():
                return Prepared(text="")

    def _encoded(self, job: Job, prepared: Prepared) -> tuple[int, ...]:
        if isinstance(job.prompt, TokenIds):
            tokens = job.prompt.ids
            self._check_ids(tokens, job)
        elif self._languages is not None:
            tokens = self._languages.encode(prepared.text, job.source_lang, job.target_lang)
        else:
            tokens = self._tokenizer.encode(prepared.text, special=prepared.special)
        if not tokens:
            raise InvalidRequest("The prompt is empty.", param=job.param)
        return tokens

    def _check_ids(self, tokens: tuple[int, ...], job: Job) -> None:
        """Ids are taken as they are: they must exist, and a language cannot be written into them any more."""
        written = {"source_lang": job.source_lang}
        if self._languages is not None and self._languages.target_in_source:
            written["target_lang"] = job.target_lang
        for field in [field for field, language in written.items() if language is not None]:
            raise InvalidRequest(f"'{field}' has no effect on a prompt of token ids: put its token there.", param=field)
        known = self._tokenizer.source_tokens
        for token in tokens:
            if not 0 <= token < len(known) or known[token] is None:
                raise InvalidRequest(
                    f"'{job.param}': token id {token} is not in the vocabulary, which has {len(known)} tokens.",
                    param=job.param,
                    code="invalid_value",
                )

    def _first_token(self, job: Job) -> int | None:
        """The token that every output must begin with: the target language, or what the model's defaults force."""
        if self._languages is not None:
            return self._languages.target_id(job.target_lang, default=self._forced_bos)
        for field in ("source_lang", "target_lang"):
            if getattr(job, field) is not None:
                raise InvalidRequest(f"'{field}': this model has no languages to choose from.", param=field)
        return self._forced_bos

    def _run_options(self, job: Job, prepared: Prepared) -> Options:
        options = run_options(job.options, prepared.options, self._options, self._engine.capabilities)
        if prepared.suppress:
            banned = [list(self._tokenizer.encode_target(text)) for text in prepared.suppress]
            options = replace(options, extra={"bad_words_ids": banned, **options.extra})
        return options

    def _output(self, number: int, index: int, run: Run, job: Job, prepared: Prepared) -> Output:
        lead = ""
        if job.echo:
            lead = job.prompt if isinstance(job.prompt, str) else self._tokenizer.decode(run.tokens)
        return Output(
            job=number,
            output=index,
            prompt_tokens=len(run.tokens) if index == 0 else 0,  # a prompt counts once, however many outputs it has
            lead=lead,
            text=text_chain(self._tokenizer, job.stop, prepared),
        )


def _runs(run: Run, job: Job) -> list[Run]:
    """One run with several outputs for a beam search; a run for each output otherwise."""
    beams = run.options.num_beams or 1
    if beams == 1:
        return [replace(run, id=f"{run.id}-{output}") for output in range(job.outputs)]
    if job.outputs > beams:
        raise InvalidRequest(f"'n' is {job.outputs}, but the search has {beams} beams only.", param="n")
    return [replace(run, outputs=job.outputs)]

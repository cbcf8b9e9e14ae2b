"""From a job to the runs an engine is asked for: prompt, tokens, languages, limits, options.

Called by `pipeline/model.py` in a worker thread, so that no prompt, however long, holds up the event loop.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alcove.config.settings import ModelSettings
from alcove.engines.base import Capabilities, Engine
from alcove.errors import ConfigurationError, InvalidRequest
from alcove.jobs import Job
from alcove.pipeline.limits import Limits, limits_of
from alcove.pipeline.output import Output
from alcove.pipeline.prompts.prepared import Prepared
from alcove.pipeline.prompts.prompter import Prompter
from alcove.pipeline.text.chain import text_chain
from alcove.pipeline.tokenizer import Tokenizer
from alcove.pipeline.tokenizers.languages import Languages, languages_of
from alcove.runs import DEFAULT_OPTIONS, Options, Run
from alcove.store.folder import ModelFolder
from alcove.store.generation import generation_from

logger = logging.getLogger(__name__)

_WIRE_NAMES = {"min_new_tokens": "min_tokens"}
"""Options that requests know by another name than the engines."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, and what becomes of its outputs."""

    run: Run
    outputs: tuple[Output, ...]

    @property
    def ended(self) -> bool:
        """Whether all outputs have ended."""
        return all(output.finish is not None for output in self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prompt:
    """A job's prompt as the model takes it."""

    tokens: tuple[int, ...]
    forced_bos: int | None
    prepared: Prepared


class Preparer:
    """Everything that is known of a model before a request comes."""

    def __init__(self, folder: ModelFolder, settings: ModelSettings, tokenizer: Tokenizer, engine: Engine) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._engine = engine
        self._prompter = Prompter(folder, settings, tokenizer)
        self._languages: Languages | None = languages_of(folder, tokenizer)
        origin = f"model '{settings.name}': generation"
        own = generation_from(settings.generation, folder.kind, source=origin)
        self._limits: Limits = limits_of(folder, settings, own)
        self._forced = own.forced_bos or folder.generation.forced_bos, own.forced_eos or folder.generation.forced_eos
        self._defaults = _defaults(own.options, folder, settings, engine.capabilities)

    def prepare(self, jobs: Sequence[Job]) -> list[Plan]:
        """The runs of a request's jobs; raises `InvalidRequest` for what cannot be honoured."""
        return [plan for number, job in enumerate(jobs) for plan in self._plans(number, job)]

    def _plans(self, number: int, job: Job) -> list[Plan]:
        prompt = self._prompt(job)
        options = self._options(job, prompt.prepared)
        lead_in = prompt.prepared.prefix
        prefix = self._tokenizer.encode_target(lead_in) if lead_in else ()
        if self._folder.kind == "causal":
            prompt, prefix = replace(prompt, tokens=prompt.tokens + prefix), ()
        forced = len(prefix) + (prompt.forced_bos is not None)
        run = Run(
            id=uuid.uuid4().hex,
            tokens=prompt.tokens,
            max_new_tokens=self._limits.room(len(prompt.tokens), forced, job),
            prefix=prefix,
            forced_bos=prompt.forced_bos,
            forced_eos=self._forced[1],
            options=options,
        )
        searching = options.num_beams is not None and options.num_beams > 1
        if searching:
            if job.outputs > (options.num_beams or 1):
                raise InvalidRequest(f"'n' is {job.outputs}, but the search has {options.num_beams} beams.", param="n")
            runs = [replace(run, outputs=job.outputs)]
        else:
            runs = [replace(run, id=f"{run.id}-{output}") for output in range(job.outputs)]
        self._engine.check(runs[0])
        lead = self._lead(job)
        plans = []
        for offset, one in enumerate(runs):
            outputs = tuple(
                Output(
                    job=number,
                    output=output,
                    # a prompt counts once, however many completions it has
                    prompt_tokens=len(prompt.tokens) if output == 0 else 0,
                    lead=lead,
                    text=text_chain(self._tokenizer, job.stop, prompt.prepared),
                )
                for output in range(offset, offset + one.outputs)
            )
            plans.append(Plan(one, outputs))
        return plans

    def _prompt(self, job: Job) -> _Prompt:
        if isinstance(job.prompt, str):
            prepared = self._prompter.completion(job.prompt)
        elif job.prompt and not isinstance(job.prompt[0], int):
            prepared = self._prompter.chat(job.prompt)  # type: ignore[arg-type]  # a prompt is of one kind
        else:
            prepared = Prepared(text="")
        forced_bos = self._forced_bos(job)
        if isinstance(job.prompt, tuple) and (not job.prompt or isinstance(job.prompt[0], int)):
            tokens: tuple[int, ...] = job.prompt  # type: ignore[assignment]  # as above
            self._check_ids(tokens, job.param)
        elif self._languages is not None:
            tokens = self._languages.encode(prepared.text, job.source_lang)
        else:
            tokens = self._tokenizer.encode(prepared.text, special=prepared.special)
        if not tokens:
            raise InvalidRequest("The prompt is empty.", param=job.param)
        return _Prompt(tokens=tokens, forced_bos=forced_bos, prepared=prepared)

    def _check_ids(self, tokens: tuple[int, ...], param: str) -> None:
        known = self._tokenizer.source_tokens
        for token in tokens:
            if not 0 <= token < len(known) or known[token] is None:
                raise InvalidRequest(
                    f"'{param}': token id {token} is not in the vocabulary, which has {len(known)} tokens.",
                    param=param,
                    code="invalid_value",
                )

    def _forced_bos(self, job: Job) -> int | None:
        own = self._forced[0]
        if self._languages is not None:
            return self._languages.target_id(job.target_lang, default=own)
        for field in ("source_lang", "target_lang"):
            if getattr(job, field) is not None:
                raise InvalidRequest(f"'{field}': this model has no languages to choose from.", param=field)
        return own

    def _options(self, job: Job, prepared: Prepared) -> Options:
        honoured = self._engine.capabilities
        for name, value in job.options.given().items():
            if name not in honoured.options and value != getattr(DEFAULT_OPTIONS, name, None):
                param = _WIRE_NAMES.get(name, name)
                raise InvalidRequest(
                    f"'{param}' is not supported for this model by the engine {honoured.engine}; it takes "
                    f"{', '.join(_WIRE_NAMES.get(option, option) for option in honoured.options)}.",
                    param=param,
                    code="unsupported_parameter",
                )
        options = job.options.over(prepared.options).over(self._defaults)
        if prepared.suppress:
            banned = [list(self._tokenizer.encode(text, special=False)) for text in prepared.suppress]
            options = replace(options, extra={"bad_words_ids": banned, **options.extra})
        # what has no effect is set to its neutral value, so that equal runs look equal and may share a batch
        if options.temperature == 0:
            options = replace(options, top_p=1.0, top_k=0)
        if options.num_beams == 1:
            options = replace(options, length_penalty=1.0, early_stopping=False)
        return options

    def _lead(self, job: Job) -> str:
        if not job.echo:
            return ""
        return job.prompt if isinstance(job.prompt, str) else self._tokenizer.decode(job.prompt)  # type: ignore[arg-type]


def _defaults(own: Options, folder: ModelFolder, settings: ModelSettings, honoured: Capabilities) -> Options:
    """The options of requests that ask nothing: of the settings, then of the model's own file."""
    for name, value in own.given().items():
        if name not in honoured.options and value != getattr(DEFAULT_OPTIONS, name, None):
            raise ConfigurationError(
                f"model '{settings.name}': generation.{name} is not supported by the engine {honoured.engine}; it takes "
                f"{', '.join(honoured.options)}."
            )
    wishes = folder.generation.options.given()
    kept = {name: value for name, value in wishes.items() if name in honoured.options}
    for name in sorted(wishes.keys() - kept.keys()):
        if wishes[name] != getattr(DEFAULT_OPTIONS, name, None):
            logger.warning(
                "Model '%s': its generation_config.json asks for %s, which the engine %s does not have",
                settings.name,
                name,
                honoured.engine,
            )
    return own.over(Options.of(kept)).over(DEFAULT_OPTIONS)

"""From a job's prompt to token ids: what the model is given, and what its answer must begin with.

Called by `pipeline/prepare.py`, and for `/v1/tokenize`.
"""

from dataclasses import dataclass
from itertools import takewhile

from alcove.config.settings import ModelSettings
from alcove.errors import ConfigurationError, ContextLengthExceeded, InvalidRequest
from alcove.jobs import Chat, Job, Message, TokenIds
from alcove.pipeline.known_ids import check_known
from alcove.pipeline.limits import Limits
from alcove.pipeline.prompts.prepared import Prepared
from alcove.pipeline.prompts.prompter import Prompter
from alcove.pipeline.tokenizer import Tokenizer
from alcove.pipeline.tokenizers.languages import languages_of
from alcove.pipeline.truncate import truncated
from alcove.store.folder import ModelFolder

LONGEST_TOKEN = 64
"""Characters that a token is thought to have at the most, unless the vocabulary has longer ones: a text that would be
over the model's limit even so is refused before a second is spent on encoding it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A prompt in the model's words."""

    tokens: tuple[int, ...]
    """The encoder's source, or a causal model's prompt."""
    prefix: tuple[int, ...]
    """Encoder-decoder: ids from which the decoder goes on."""
    forced_bos: int | None
    """Encoder-decoder: the id that it must make first."""
    prepared: Prepared
    shared: int = 0
    """How many of the first tokens are those of the model's fixed system prompt."""
    known: int = 0
    """Of a job with a continuation: how many of the given tokens stand before it."""


class Encoder:
    """Everything that turns the prompts of one model into ids."""

    def __init__(
        self,
        folder: ModelFolder,
        settings: ModelSettings,
        tokenizer: Tokenizer,
        limits: Limits,
        *,
        forced_bos: int | None,
        end: int | None,
    ) -> None:
        """`forced_bos` is what the model's own defaults force, `end` its end of sequence. Raises `ConfigurationError`
        for a system prompt that the model's template does not take."""
        self._causal = folder.kind == "causal"
        self._tokenizer = tokenizer
        self._prompter = Prompter(folder, settings, tokenizer)
        self._languages = languages_of(folder, tokenizer)
        self._limits = limits
        longest = max(map(len, filter(None, tokenizer.source_tokens)), default=0)
        self._most_characters = limits.prompt * max(longest, LONGEST_TOKEN)
        self._forced_bos = forced_bos
        self._end = end
        self._fixed = () if settings.prompt.system is None else self._beginning(settings.name)

    def encode(self, job: Job) -> Encoded:
        """All that the model is given; raises `InvalidRequest`."""
        prepared = self._prepared(job)
        if job.truncate_prompt is None:
            self._check_length(prepared.text, job.param)
        self._check_length(job.continuation or "", job.param)
        self._check_length(job.decoder_prefix if isinstance(job.decoder_prefix, str) else "", "decoder_prefix")
        tokens = self.source(job, prepared)
        forced_bos = self._first_token(job)
        prefix = self._tokenizer.encode_target(prepared.prefix) if prepared.prefix else ()
        if self._causal:
            if job.decoder_prefix is not None:
                raise InvalidRequest(
                    "'decoder_prefix': this model has no decoder of its own; put the text at the end of the prompt.",
                    param="decoder_prefix",
                )
            if job.continuation is not None:
                return self._continued(job, prepared, tokens)
            tokens += prefix
            shared = len(self._fixed) if tokens[: len(self._fixed)] == self._fixed and tokens != self._fixed else 0
            return Encoded(tokens=tokens, prefix=(), forced_bos=forced_bos, prepared=prepared, shared=shared)
        if job.continuation is not None:
            end = () if self._end is None else (self._end,)
            prefix = self._tokenizer.encode_target(job.continuation) + end
        return Encoded(
            tokens=tokens, prefix=prefix + self._decoder_prefix(job), forced_bos=forced_bos, prepared=prepared
        )

    def source(self, job: Job, prepared: Prepared | None = None) -> tuple[int, ...]:
        """The ids of the prompt alone; raises `InvalidRequest`."""
        for field in ("source_lang", "target_lang"):
            if self._languages is None and getattr(job, field) is not None:
                raise InvalidRequest(f"'{field}': this model has no languages to choose from.", param=field)
        prepared = self._prepared(job) if prepared is None else prepared
        if isinstance(job.prompt, TokenIds):
            tokens, bare = job.prompt.ids, job.prompt.ids
            self._check_ids(tokens, job)
        else:
            tokens = self._encoded(prepared.text, prepared, job)
            bare = self._tokenizer.encode(prepared.text, special=False) if job.truncate_prompt is not None else ()
        if job.truncate_prompt is not None:
            longest = self._limits.longest(job) if job.truncate_prompt == -1 else job.truncate_prompt
            tokens = truncated(tokens, bare, longest)
        if not tokens:
            raise InvalidRequest("The prompt is empty.", param=job.param)
        return tokens

    def _beginning(self, name: str) -> tuple[int, ...]:
        """The ids with which chats under the fixed system prompt begin, whatever is said in them."""
        try:
            prompts = [self._prompter.chat([Message(role="user", content=text)]) for text in ("a", "0 b")]
        except InvalidRequest as error:
            raise ConfigurationError(f"model '{name}': prompt.system cannot be used: {error}") from error
        one, other = (self._tokenizer.encode(prompt.text, special=prompt.special) for prompt in prompts)
        return tuple(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

    def _prepared(self, job: Job) -> Prepared:
        match job.prompt:
            case str(text):
                return self._prompter.completion(text)
            case Chat() as chat:
                return self._prompter.chat(
                    chat.messages,
                    variables=chat.variables,
                    add_generation_prompt=chat.add_generation_prompt,
                    continue_final=chat.continue_final,
                )
            case TokenIds():
                return Prepared(text="")

    def _check_length(self, text: str, param: str) -> None:
        if len(text) > self._most_characters:
            raise ContextLengthExceeded(
                f"The text has {len(text)} characters; this model takes {self._limits.prompt} tokens.", param=param
            )

    def _encoded(self, text: str, prepared: Prepared, job: Job) -> tuple[int, ...]:
        if self._languages is None:
            return self._tokenizer.encode(text, special=prepared.special if job.special is None else job.special)
        if job.special is False:
            raise InvalidRequest(
                "'add_special_tokens': this model needs the tokens of its languages; send token ids to choose them "
                "yourself.",
                param="add_special_tokens",
            )
        return self._languages.encode(text, job.source_lang, job.target_lang)

    def _continued(self, job: Job, prepared: Prepared, before: tuple[int, ...]) -> Encoded:
        """A causal model's prompt and what it may go on with, encoded as one text: the continuation begins with the
        first token that the prompt alone would not have."""
        tokens = self._encoded(prepared.text + (job.continuation or ""), prepared, job)
        known = next((at for at, (a, b) in enumerate(zip(before, tokens, strict=False)) if a != b), len(before))
        if not 0 < known < len(tokens):
            what = "there is nothing before it" if known == 0 else "it has no tokens"
            raise InvalidRequest(f"The text cannot be scored: {what}.", param=job.param)
        return Encoded(tokens=tokens, prefix=(), forced_bos=None, prepared=prepared, known=known)

    def _decoder_prefix(self, job: Job) -> tuple[int, ...]:
        prefix = job.decoder_prefix
        if prefix is None:
            return ()
        if isinstance(job.prompt, Chat) and job.prompt.continue_final:
            raise InvalidRequest(
                "'decoder_prefix': with 'continue_final_message' the last message is the decoder's prefix.",
                param="decoder_prefix",
            )
        if isinstance(prefix, str):
            return self._tokenizer.encode_target(prefix)
        check_known("decoder_prefix", prefix, range(len(self._tokenizer.target_tokens)))
        return prefix

    def _check_ids(self, tokens: tuple[int, ...], job: Job) -> None:
        """Ids are taken as they are: they must exist, and a language cannot be written into them any more."""
        written = {"source_lang": job.source_lang}
        if self._languages is not None and self._languages.target_in_source:
            written["target_lang"] = job.target_lang
        for field in [field for field, language in written.items() if language is not None]:
            raise InvalidRequest(f"'{field}' has no effect on a prompt of token ids: put its token there.", param=field)
        check_known(job.param, tokens, self._tokenizer.source_tokens)

    def _first_token(self, job: Job) -> int | None:
        """The token that every output must begin with: the target language, or what the model's defaults force."""
        if self._languages is None:
            return self._forced_bos
        return self._languages.target_id(job.target_lang, default=self._forced_bos)

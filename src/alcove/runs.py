"""What crosses the engine port: a `Run` goes in, `Step`s come out.

Frozen plain data: token ids, numbers and strings only, never text, HTTP or callables, so that both survive a
msgpack round trip and an engine may live in another process. Made by `pipeline/model.py`, read by the engines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import msgspec

FinishReason = Literal["stop", "length"]
"""Why an output ended: `stop`, the model ended it (or a stop string was found); `length`, its limit was reached."""
FaultKind = Literal["invalid", "overloaded", "memory", "stopping", "died"]
"""What a run's error is where the engine has not simply failed: the request's own fault, no room for it in the queue,
no memory for it, the engine is being closed, or its process has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to choose tokens, in the names of the Hugging Face `GenerationConfig`; None leaves a choice to the next
    source (request > model settings > the model's own generation_config.json > `DEFAULT_OPTIONS`)."""

    temperature: float | None = None
    """0 is greedy; above 0 samples."""
    top_p: float | None = None
    """Sample from the most probable tokens whose probabilities reach this sum, 0 to 1."""
    top_k: int | None = None
    """Sample from this many most probable tokens; 0 is all."""
    num_beams: int | None = None
    """Width of the beam search; 1 is none."""
    length_penalty: float | None = None
    """Exponent of the length that divides a beam's score; above 0 favours long outputs."""
    early_stopping: bool | Literal["never"] | None = None
    """Whether a beam search ends as soon as `num_beams` outputs are finished; "never" waits until no better one can
    come, and False guesses whether one will. None, in a run's options too, is the engine's own rule: transformers' is
    False, CTranslate2's True."""
    no_repeat_ngram_size: int | None = None
    """No n-gram of this size occurs twice in an output; 0 is off."""
    repetition_penalty: float | None = None
    """Above 1 makes tokens that have occurred less probable; 1 is off."""
    min_new_tokens: int | None = None
    """No end of sequence before this many new tokens."""
    min_p: float | None = None
    """Sample from tokens at least this probable, relative to the most probable one; 0 is off."""
    typical_p: float | None = None
    """Sample from the most typical tokens whose probabilities reach this sum; 1 is off."""
    presence_penalty: float | None = None
    """Taken from the logit of each token that has occurred in the output; 0 is off (OpenAI's)."""
    frequency_penalty: float | None = None
    """The same, times how often it has occurred (OpenAI's)."""
    logit_bias: Mapping[int, float] | None = None
    """Added to the logits of these token ids."""
    bad_words_ids: tuple[tuple[int, ...], ...] | None = None
    """Sequences of token ids that must not occur in the output."""
    allowed_token_ids: tuple[int, ...] | None = None
    """The only ids that may be chosen, the end of sequence apart; None allows all."""
    stop_token_ids: tuple[int, ...] | None = None
    """Ids that end an output beside the model's own end of sequence; the last token of an output that they end."""
    ignore_eos: bool | None = None
    """Whether the model's own end of sequence may not be chosen."""
    seed: int | None = None
    """Makes sampling repeat: the same run gives the same output, whatever shares its batch. None is random."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further options of `GenerationConfig` by their own names, for engines that take them."""

    def over(self, defaults: "Options") -> "Options":
        """These options, with what they leave open taken from `defaults`."""
        chosen = {
            f.name: getattr(defaults, f.name) if (mine := getattr(self, f.name)) is None else mine
            for f in fields(self)
            if f.name != "extra"
        }
        return Options(**chosen, extra={**defaults.extra, **self.extra})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Options":
        """Options from names and values; names without a field of their own go to `extra`."""
        named = {f.name for f in fields(cls)} - {"extra"}
        return cls(
            **{name: value for name, value in values.items() if name in named},
            extra={name: value for name, value in values.items() if name not in named},
        )

    def given(self) -> dict[str, Any]:
        """The options that are set, by name, those of `extra` among them."""
        named = {
            f.name: value for f in fields(self) if f.name != "extra" and (value := getattr(self, f.name)) is not None
        }
        return {**named, **self.extra}


DEFAULT_OPTIONS = Options(
    temperature=0.0,
    top_p=1.0,
    top_k=0,
    num_beams=1,
    length_penalty=1.0,
    no_repeat_ngram_size=0,
    repetition_penalty=1.0,
    min_new_tokens=0,
    min_p=0.0,
    typical_p=1.0,
    presence_penalty=0.0,
    frequency_penalty=0.0,
    logit_bias={},
    bad_words_ids=(),
    stop_token_ids=(),
    ignore_eos=False,
)
"""What holds where nothing else is said: greedy, nothing penalised. Each is neutral: asking for it changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One generation that an engine is asked for."""

    id: str
    """Unique in the process; names the run in its steps and in `cancel`."""
    tokens: tuple[int, ...]
    """Token ids of the tokenizer: the encoder's source (special tokens included), or the prompt of a causal model."""
    max_new_tokens: int
    """At most so many tokens an output, those in `made` counted; 0 only asks for `prompt_logprobs`."""
    shared: int = 0
    """Causal: how many of the first `tokens` stand at the beginning of most of the model's prompts (a fixed system
    prompt), so that an engine may keep what it has made of them."""
    prefix: tuple[int, ...] = ()
    """Encoder-decoder: ids with which the decoder must go on after its start token; not part of the output."""
    forced_bos: int | None = None
    """Encoder-decoder: the first token the decoder must make (a target language); not part of the output, but a
    token of it to the length penalty, as in transformers."""
    forced_eos: int | None = None
    """The token that must stand at the very end when the limit is reached (BART's generation defaults), or None."""
    outputs: int = 1
    """How many outputs the run has: above 1 only for a beam search, best first."""
    options: Options = DEFAULT_OPTIONS
    """Complete: every named option is set, `early_stopping`, `allowed_token_ids` and `seed` apart."""
    logprobs: int | None = None
    """Log-probabilities wanted of each new token: its own, and those of so many most probable ones; None: none.

    They are those of the model, log-softmax of its logits, before any option has changed them."""
    prompt_logprobs: int | None = None
    """The same for what was given: a causal model's `tokens`, an encoder-decoder's `prefix`."""
    made: tuple[int, ...] = ()
    """Output tokens of an earlier batch, from which the run goes on; they are not delivered again. Set by an engine in
    the runs that its `run` gives back."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """What the model thought of one token."""

    logprob: float
    """Its own log-probability."""
    top: tuple[tuple[int, float], ...] = ()
    """The most probable tokens in its place, best first: id and log-probability."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What kind of error a run ended with."""

    kind: FaultKind
    param: str | None = None
    """The request's field at fault."""
    code: str | None = None
    """OpenAI's code for it."""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """News of one output of a run. Each output ends with exactly one step that has a `finish`; a run that fails
    ends with one step that has an `error` instead, for all its outputs."""

    run: str
    """The run's id."""
    began: bool = False
    """The run waits no longer: work on it begins. Such a step has nothing else, and comes before all others of its run;
    an engine need not tell."""
    output: int = 0
    """Which of the run's outputs, from 0."""
    tokens: tuple[int, ...] = ()
    """New token ids, in order, without the end of sequence; a token of `stop_token_ids` is the last."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """One for each of `tokens`, where the run wants them; on the last step of an output that the model's own end of
    sequence ended there is one more, that of the end."""
    prompt_logprobs: tuple[TokenLogprob | None, ...] = ()
    """On the run's first step, where it wants them: one for each given token; None where nothing stands before it."""
    finish: FinishReason | None = None
    """Set on the last step of an output."""
    score: float | None = None
    """Length-normalised log-probability of a finished beam output."""
    error: str | None = None
    """Why the run failed; for the log, and where `fault` tells of the request or the queue, for the client."""
    fault: Fault | None = None
    """With `error`: what kind of error it is; None: the engine has failed."""
    times: tuple[float, float] | None = None
    """On a run's first step, where the batcher tells it: when its batch began, and when the step was made, on the clock
    of `time.perf_counter`. News may be read later than it was made."""

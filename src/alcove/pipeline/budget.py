"""How much one request may ask for in all, whatever its fields allow one by one. Used by `pipeline/prepare.py`."""

from alcove.errors import InvalidRequest
from alcove.jobs import Job
from alcove.runs import Run

LEAST = 64
"""Tokens that an output counts at least: it needs memory before it has made any."""


class Budget:
    """The tokens that are left to one request."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._left = tokens

    def spend(self, run: Run, job: Job, outputs: int, given: int) -> None:
        """Take off what `outputs` times this run may make. Each log-probability asked for counts as a token, and so
        does each of the `given` tokens that are scored. Raises `InvalidRequest`."""
        beams = run.options.num_beams or 1
        made = max(run.max_new_tokens, LEAST) * beams * (1 + (run.logprobs or 0))
        scored = 0 if run.prompt_logprobs is None else given * (1 + run.prompt_logprobs)
        self._left -= (made + scored) * outputs
        if self._left >= 0:
            return
        wide = "best_of" if job.best_of else "n" if outputs > 1 else job.names.get("num_beams", "num_beams")
        param = wide if outputs * beams > 1 else "max_tokens" if run.max_new_tokens > LEAST else job.param
        raise InvalidRequest(
            f"'{param}': the request asks for more than {self._tokens} tokens (prompts x choices or beams x "
            "max_tokens, log-probabilities counted); ask for fewer, or in several requests.",
            param=param,
            code="invalid_value",
        )

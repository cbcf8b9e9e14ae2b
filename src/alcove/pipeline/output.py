"""One output on its way from steps to events: tokens become text, stop strings end it. Used by `pipeline/model.py`."""

from alcove.jobs import Event
from alcove.pipeline.text.chain import TextChain
from alcove.runs import FinishReason, Step


class Output:
    """Gathers what has come for one output since its last event."""

    def __init__(self, *, job: int, output: int, prompt_tokens: int, lead: str, text: TextChain) -> None:
        self._job = job
        self._output = output
        self._prompt_tokens = prompt_tokens
        self._chain = text
        self._text = lead
        self._tokens = 0
        self.finish: FinishReason | None = None
        """Why the output has ended; None while it goes on."""

    def take(self, step: Step) -> None:
        """Take a step in. After a stop string nothing more counts, neither text nor tokens."""
        if self.finish is not None:
            return
        for token in step.tokens:
            self._text += self._chain.feed((token,))
            self._tokens += 1
            if self._chain.stopped:
                self.finish = "stop"
                return
        if step.finish is not None:
            self._text += self._chain.flush()
            # held-back text may complete a stop string only now
            self.finish = "stop" if self._chain.stopped else step.finish

    def event(self) -> Event:
        """What has come since the last event."""
        event = Event(
            job=self._job,
            output=self._output,
            text=self._text,
            tokens=self._tokens,
            prompt_tokens=self._prompt_tokens,
            finish=self.finish,
        )
        self._text, self._tokens, self._prompt_tokens = "", 0, 0
        return event

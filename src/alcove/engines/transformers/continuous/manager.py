"""transformers' `ContinuousBatchingManager`, made to fit: its own module on the same weights, its thread, its news.

Made and owned by `engine.py`. What is overridden is private to the library and was read in 5.23
(`generation/continuous_batching/continuous_api.py`); tests/fidelity/test_continuous.py holds every part of it.
"""

import copy
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching.continuous_api import (
    BackgroundThreadStatus,
    ContinuousBatchingManager,
    OutputRouter,
)

from alcove.engines.transformers.continuous import attention
from alcove.engines.transformers.continuous.chooser import Chooser, processors
from alcove.engines.transformers.continuous.knobs import PAGE_TOKENS

News = Callable[[Sequence[Any]], None]
"""Takes the library's `GenerationOutput`s of one step."""


def twin(model: Any) -> Any:
    """A second module on the same parameters: the manager sets the attention of its model in place
    (`switch_to_cb_friendly_attn`), and closed batches run at the same time."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


class _Router(OutputRouter):  # type: ignore[misc]  # transformers is untyped
    """Hands the outputs of a step on in the manager's thread, all at once. The library's handlers want an event loop,
    and its queue a thread that waits for it."""

    def __init__(self, news: News) -> None:
        super().__init__()
        self._news = news

    def deliver(self, output: Any) -> None:
        self._news([output])

    def deliver_batch(self, outputs: list[Any]) -> None:
        self._news(outputs)


class Manager(ContinuousBatchingManager):  # type: ignore[misc]  # transformers is untyped
    """One manager with one thread; when that has ended, for whatever reason, the manager is spent."""

    def __init__(
        self,
        model: Any,
        *,
        pages: int,
        batch_tokens: int,
        runs: int,
        threads: int | None,
        chooser: Chooser,
        news: News,
        ended: Callable[["Manager"], None],
    ) -> None:
        """`model` is this manager's own, see `twin`; `ended` is the last thing that the thread calls."""
        logging.getLogger("ContinuousBatchingLogger").setLevel(logging.CRITICAL)  # it writes past logging's handlers
        config = ContinuousBatchingConfig(
            page_size=PAGE_TOKENS,
            num_blocks=pages,
            max_batch_tokens=batch_tokens,
            max_requests_per_batch=runs,
            max_memory_percent=0.9,  # only a bound on what `num_blocks` asks for
            allow_block_sharing=True,
            auto_switch_to_flash=False,  # it would fetch a kernel from the Hub
            use_async_batching=False,  # options look at the latest token
            use_cuda_graph=False,  # and are carried out by Python
        )
        super().__init__(model, GenerationConfig(do_sample=False, eos_token_id=-1), config)
        self.logit_processor = processors(chooser)
        self.output_router = _Router(news)
        self._threads = threads
        self._ended = ended
        self._step_since: float | None = None

    def switch_to_cb_friendly_attn(self, model: Any, auto_switch_to_flash: bool = False) -> None:
        """Set the model's attention. The library does not know ours as one that needs its mask
        (`attn_mask_is_needed`), so that none is made."""
        config = model.config.get_text_config()
        if model.device.type == "cpu" and attends_fully(config):
            config._attn_implementation = attention.NAME
        else:
            super().switch_to_cb_friendly_attn(model, auto_switch_to_flash)

    @property
    def step_s(self) -> float:
        """How long the step that is being made has taken, in seconds; 0 between two steps."""
        since = self._step_since
        return 0.0 if since is None else time.monotonic() - since

    def start(self) -> None:
        """Start the thread; it does not keep the process from ending, as the library's would."""
        self._generation_thread = threading.Thread(
            target=self._run_generation_loop, name="alcove-continuous", daemon=True
        )
        self._generation_thread.start()

    def finish(self, timeout: float) -> None:
        """End the thread after its step. Unlike `stop`, it does not wait for the thread to look up, and sets no
        attention back: the model is this manager's own."""
        self.background_thread_status.request_stop(BackgroundThreadStatus.HARD_STOP, global_rank=0)
        self._wake_up_loop.set()
        self.join(time.perf_counter(), timeout)

    def _generation_step(self) -> None:
        self._step_since = time.monotonic()
        try:
            super()._generation_step()
        finally:
            self._step_since = None

    def _run_generation_loop(self) -> None:
        try:
            if self._threads is not None:
                torch.set_num_threads(self._threads)  # the number is the calling thread's
            super()._run_generation_loop()
        finally:
            self._ended(self)


def attends_fully(config: Any) -> bool:
    """Whether every layer sees all that came before, as `attention.py` does it in place of sdpa."""
    if config._attn_implementation not in ("sdpa", attention.NAME):
        return False
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        return getattr(config, "sliding_window", None) is None
    return set(kinds) == {"full_attention"}

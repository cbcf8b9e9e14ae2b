"""The training loop of both models.

In: a model, an endless stream of batches and the recipe. Out: the trained model and the processor seconds it took.
One thread, so that a run repeats exactly on the same machine and two runs share two cores.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import PreTrainedModel

from tools.builtin.batches import Batch

_LINE_EVERY = 500
"""Steps between two lines where the output is no terminal."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast to learn."""

    steps: int
    batch_size: int
    learning_rate: float
    seed: int
    warm_up: int = 200
    """Steps over which the rate rises from zero; it then falls linearly to zero."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's two decay rates."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest norm of a gradient."""


def train(model: PreTrainedModel, batches: Iterator[Batch], recipe: Recipe) -> float:
    """Train a model in place, and return the seconds of processor time, which other programs do not lengthen."""
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    start, running = time.process_time(), 0.0
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=recipe.steps)
        for step in range(1, recipe.steps + 1):
            loss = model(**next(batches)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            value = loss.item()
            running = value if step == 1 else 0.99 * running + 0.01 * value
            progress.update(task, advance=1, description=f"loss {running:.4f}")
            if not console.is_terminal and step % _LINE_EVERY == 0:
                seconds = time.process_time() - start
                console.print(f"step {step}/{recipe.steps}  loss {running:.4f}  {seconds:.0f} s")
    model.eval()
    return time.process_time() - start


def _rate(step: int, recipe: Recipe) -> float:
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    return (recipe.steps - step) / max(1, recipe.steps - recipe.warm_up)

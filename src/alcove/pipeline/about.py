"""What can be said of a model that is not in memory: a `ModelFolder` and settings go in. Shown by `/v1/models`."""

from dataclasses import dataclass

from alcove.config.settings import ModelSettings
from alcove.pipeline.limits import limits_of
from alcove.store.folder import Kind, ModelFolder
from alcove.store.footprint import memory_bytes
from alcove.store.generation import generation_from


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A model, from outside."""

    kind: Kind
    """Encoder-decoder or decoder-only."""
    engine: str
    """Public name of the engine that runs it."""
    context: int
    """Most tokens that it takes: a prompt's, a causal model's answer counted."""
    bytes: int
    """About how much memory it takes."""


def about(folder: ModelFolder, settings: ModelSettings) -> About:
    """Raises `ModelLoadError` or `ConfigurationError` for what cannot be loaded anyway."""
    own = generation_from(settings.generation, folder.kind, source=f"model '{settings.name}': generation")
    limits = limits_of(folder, settings, own)
    on_cpu = not settings.device.startswith("cuda")
    return About(
        kind=folder.kind,
        engine=folder.layout,
        context=limits.longest_input,
        bytes=memory_bytes(folder, settings.compute_type) if on_cpu else 0,
    )

"""Samplers: generators that ask for predictions and lead noise to a picture."""

from inkwash.diffusion.samplers.registry import SAMPLERS, Sampler, resolve

__all__ = ["SAMPLERS", "Sampler", "resolve"]

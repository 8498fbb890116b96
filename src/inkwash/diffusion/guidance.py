"""Classifier-free guidance: which rows an image-step needs, and one Prediction from their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from inkwash.diffusion import parametrization
from inkwash.diffusion.parametrization import PredictionType
from inkwash.diffusion.prediction import Prediction

Conds = Sequence[tuple[Tensor, float]]  # the denoised picture of each prompt joined by AND, and its weight


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """How strongly, and in which steps, the prompt pulls away from the unconditional prediction."""

    scale: float = 7.0  # 0 = unconditional only, 1 = the prompt alone
    rescale: float = 0.0  # phi of arXiv:2305.08891, 0..1
    start: float = 0.0  # guidance acts from this fraction of the calls ...
    end: float = 1.0  # ... up to this one (arXiv:2404.07724, in fractions instead of sigmas)
    ngms: float = 0.0  # below this sigma odd calls go without guidance; 0 = off
    ngms_all: bool = False  # ... all calls below it
    skip_early: float = 0.0  # calls up to this fraction go without guidance; 0 = off

    def at(self, sigma: float, call_index: int, total_calls: int) -> float:
        """The scale of one call: ``scale``, or 1 where guidance rests.  Scale 0 stays 0.

        ``call_index`` counts model calls of this picture from 0; it may pass ``total_calls``.
        """
        if self.scale == 0:
            return 0.0
        done = call_index / total_calls
        early = self.skip_early > 0 and done <= self.skip_early
        outside = done < self.start or (self.end < 1 and done >= self.end)
        low = 0 < self.ngms > sigma and (self.ngms_all or call_index % 2 == 1)
        return 1.0 if early or outside or low else self.scale

    def needs_cond(self, sigma: float, call_index: int, total_calls: int) -> bool:
        """False when the prompt's rows play no part."""
        return self.at(sigma, call_index, total_calls) != 0

    def needs_uncond(self, sigma: float, call_index: int, total_calls: int, weights: Sequence[float] = (1.0,)) -> bool:
        """False when the unconditional prediction cancels out or is to be left out: one row less.

        weights: of the prompts joined by AND.  Where guidance rests the row is left out whatever the weights, as A1111
        does.  Samplers with ``needs_uncond`` need the row regardless.
        """
        scale = self.at(sigma, call_index, total_calls)
        return scale * sum(weights) != 1 if scale == self.scale else False

    def combine(
        self,
        conds: Conds,
        uncond: Tensor | None,
        *,
        scale: float | None = None,
        prediction: PredictionType = "x0",
        x: Tensor | None = None,
        sigma: float | Tensor | None = None,
    ) -> Prediction:
        """denoised = uncond + sum of weight * scale * (cond - uncond); A1111's AND.

        uncond None: the row was left out; the first cond takes its place and the scale is 1.  scale: of this call, see
        ``at``; None is ``self.scale``.

        ``rescale`` compares standard deviations over the picture in the space of ``prediction``: arXiv:2305.08891 and
        diffusers take the network's own output (eps or v; needs x and sigma), A1111's extension the denoised picture
        ("x0").
        """
        scale = self.scale if scale is None else scale
        if uncond is None:
            base, scale = conds[0][0], 1.0
        else:
            base = uncond
        denoised = _guided(conds, base, scale)
        if self.rescale > 0 and scale not in (0.0, 1.0):
            positive = _guided(conds, base, 1.0)
            denoised = _rescaled(denoised, positive, self.rescale, prediction, x, sigma)
        return Prediction(denoised, uncond)


def _guided(conds: Conds, base: Tensor, scale: float) -> Tensor:
    if scale == 0:
        return base
    if scale == 1 and len(conds) == 1 and conds[0][1] == 1:
        return conds[0][0]  # exactly, without the rounding of base + (cond - base)
    result = base
    for cond, weight in conds:
        result = result + (cond - base) * (weight * scale)
    return result


def _rescaled(
    guided: Tensor,
    positive: Tensor,
    phi: float,
    prediction: PredictionType,
    x: Tensor | None,
    sigma: float | Tensor | None,
) -> Tensor:
    """Equations 15 and 16 of arXiv:2305.08891: part of the way back to the positive prediction's standard deviation."""
    if prediction == "x0":
        return guided * _shrink(guided, positive, phi)
    if x is None or sigma is None:
        raise ValueError(f"rescaling in {prediction} space needs x and sigma")
    output = parametrization.output(guided, x, sigma, prediction)
    factor = _shrink(output, parametrization.output(positive, x, sigma, prediction), phi)
    return parametrization.denoised(output * factor, x, sigma, prediction)


def _shrink(guided: Tensor, positive: Tensor, phi: float) -> Tensor:
    """The factor phi std(positive) / std(guided) + (1 - phi); 0-d."""
    return phi * positive.std() / guided.std() + (1 - phi)

"""Which sigmas a picture is drawn at: schedules by A1111's names, and the spacings some samplers bring along."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inkwash.core.errors import InvalidRequest
from inkwash.diffusion.names import find, unknown
from inkwash.diffusion.noise_schedule import STABLE_DIFFUSION, NoiseSchedule

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """What a schedule is made from.  ``rho``, ``alpha`` and ``beta`` shape Karras, Polyexponential and Beta."""

    steps: int
    sigma_min: float
    sigma_max: float
    levels: NoiseSchedule
    rho: float | None
    alpha: float
    beta: float

    @property
    def ramp(self) -> _Floats:
        """0 .. 1 in ``steps`` even points; a single point is 0."""
        return np.linspace(0.0, 1.0, self.steps)

    def trained(self, points: int) -> _Floats:
        """Sigmas of ``points`` even times from sigma_max to sigma_min, both included; a single one is sigma_max."""
        return self.at(np.linspace(self.levels.t(self.sigma_max), self.levels.t(self.sigma_min), points))

    def at(self, times: _Floats) -> _Floats:
        return np.array([self.levels.sigma(t) for t in times])

    def table(self) -> _Floats:
        """The model's own levels, ascending.  Raises InvalidRequest when there are fewer than ``steps``."""
        sigmas: _Floats = self.levels.sigmas.cpu().numpy()
        if len(sigmas) < self.steps:
            raise InvalidRequest(
                f"{self.steps} steps do not fit the model's {len(sigmas)} noise levels.",
                "Ask for fewer steps or choose the schedule Karras.",
            )
        return sigmas


@dataclass(frozen=True)
class Schedule:
    """A named spacing.  Call it for sigmas: 1-D float32 on the CPU, descending, the last one 0."""

    name: str
    positive: Callable[[Span], _Floats]  # all sigmas but the final 0
    aliases: tuple[str, ...] = ()

    def __call__(
        self,
        steps: int,
        sigma_min: float,
        sigma_max: float,
        *,
        noise_schedule: NoiseSchedule = STABLE_DIFFUSION,
        rho: float | None = None,
        alpha: float = 0.6,
        beta: float = 0.6,
    ) -> Tensor:
        """``steps`` + 1 sigmas (DDIM: see there).  Options that do not concern a schedule are without effect.

        Raises InvalidRequest unless steps >= 1 and 0 < sigma_min < sigma_max.
        """
        if steps < 1:
            raise InvalidRequest(f"{steps} steps cannot be drawn.", "Ask for at least 1 step.")
        if not 0 < sigma_min < sigma_max:
            raise InvalidRequest(
                f"No noise schedule runs from sigma {sigma_max:g} to {sigma_min:g}.",
                "The smallest sigma must be above 0 and below the largest.",
            )
        span = Span(steps, float(sigma_min), float(sigma_max), noise_schedule, rho, alpha, beta)
        return _tensor([*self.positive(span), 0.0])


def karras(span: Span) -> _Floats:
    """Equation 5 of arXiv:2206.00364; rho 7 unless given."""
    rho = span.rho or 7.0
    high, low = span.sigma_max ** (1 / rho), span.sigma_min ** (1 / rho)
    sigmas: _Floats = (high + span.ramp * (low - high)) ** rho
    return sigmas


def exponential(span: Span) -> _Floats:
    """Even in log sigma."""
    return np.exp(math.log(span.sigma_max) + span.ramp * math.log(span.sigma_min / span.sigma_max))


def polyexponential(span: Span) -> _Floats:
    """log sigma follows the ramp 1 .. 0 to the power rho; rho 1 unless given, which is Exponential."""
    ramp = (1 - span.ramp) ** (span.rho or 1.0)
    return np.exp(math.log(span.sigma_min) + ramp * math.log(span.sigma_max / span.sigma_min))


def uniform(span: Span) -> _Floats:
    """Even in the model's time over all its levels; like A1111's it knows no sigma_min and sigma_max (Normal does)."""
    return span.at((len(span.levels.sigmas) - 1) * (1 - span.ramp))


def normal(span: Span) -> _Floats:
    """Even in the model's time from sigma_max to sigma_min, both included."""
    return span.trained(span.steps)


def sgm_uniform(span: Span) -> _Floats:
    """Even in the model's time with steps + 1 points, the last of which is left out for the 0."""
    return span.trained(span.steps + 1)[:-1]


def kl_optimal(span: Span) -> _Floats:
    """arctan sigma is even (arXiv:2404.14507).

    ``steps`` points from sigma_max to sigma_min, then 0: ComfyUI's form.  A1111's has one point more and ends at
    sigma_min.
    """
    low, high = math.atan(span.sigma_min), math.atan(span.sigma_max)
    return np.tan(high + span.ramp * (low - high))


# https://research.nvidia.com/labs/toronto-ai/AlignYourSteps/howto.html, Stable Diffusion 1.5, ten steps
_ALIGNED = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)


def align_your_steps(span: Span) -> _Floats:
    """The eleven optimised sigmas of arXiv:2404.14507, log-linear in between; sigma_min and sigma_max play no part."""
    return np.exp(np.interp(span.ramp, np.linspace(0.0, 1.0, len(_ALIGNED)), np.log(_ALIGNED)))


def simple(span: Span) -> _Floats:
    """Every (T / steps)-th of the model's levels from the noisiest down, whatever sigma_min and sigma_max."""
    table = span.table()
    return np.array([table[-1 - int(i * len(table) / span.steps)] for i in range(span.steps)])


def ddim(span: Span) -> _Floats:
    """Levels 1, 1 + k, 1 + 2k, ... with k = T // steps, whatever sigma_min and sigma_max.

    As in A1111 there are more than ``steps`` of them where steps does not divide T.
    """
    table = span.table()
    return table[1 :: len(table) // span.steps][::-1]


def beta(span: Span) -> _Floats:
    """Quantiles of Beta(alpha, beta), stretched over sigma_min .. sigma_max: arXiv:2407.12173 in A1111's form."""
    from scipy.special import betaincinv  # 0.3 s to import, for this schedule only

    quantiles: _Floats = betaincinv(span.alpha, span.beta, 1 - span.ramp)
    return span.sigma_min + quantiles * (span.sigma_max - span.sigma_min)


SCHEDULES: dict[str, Schedule] = {
    schedule.name: schedule
    for schedule in (
        Schedule("Uniform", uniform),
        Schedule("Karras", karras),
        Schedule("Exponential", exponential),
        Schedule("Polyexponential", polyexponential),
        Schedule("SGM Uniform", sgm_uniform, ("sgm_uniform", "SGMUniform")),
        Schedule("KL Optimal", kl_optimal, ("kl_optimal",)),
        Schedule("Align Your Steps", align_your_steps, ("align_your_steps", "AYS")),
        Schedule("Simple", simple),
        Schedule("Normal", normal),
        Schedule("DDIM", ddim, ("ddim_uniform",)),
        Schedule("Beta", beta),
    )
}


def resolve_schedule(name: str) -> Schedule:
    """A schedule by name or alias, in any case.  Raises InvalidRequest with the nearest names."""
    found = find(name, {schedule: (key, *schedule.aliases) for key, schedule in SCHEDULES.items()})
    if found is None:
        raise unknown("schedule", name, SCHEDULES)
    return found


def ddim_timesteps(steps: int, noise_schedule: NoiseSchedule = STABLE_DIFFUSION) -> Tensor:
    """DDIM's own sigmas: levels 1 + i * (T // steps), then level 0, its last alpha; steps + 1 float32, descending.

    diffusers' "leading" spacing with steps_offset 1 and set_alpha_to_one False.  It ends above 0.
    """
    sigmas = noise_schedule.sigmas
    if not 1 <= steps < len(sigmas):
        raise InvalidRequest(f"DDIM cannot draw {steps} steps.", f"Ask for 1 to {len(sigmas) - 1} steps.")
    times = [1 + i * (len(sigmas) // steps) for i in range(steps)]
    return _tensor([*sigmas[times[::-1]].tolist(), float(sigmas[0])])


def unipc_timesteps(steps: int, noise_schedule: NoiseSchedule = STABLE_DIFFUSION) -> Tensor:
    """UniPC's own sigmas in A1111: even times from level T - 1 to 0, linear in log alpha between; ends above 0."""
    logs = torch.log(noise_schedule.alphas_cumprod).cpu().numpy()
    times = np.linspace(len(logs) - 1, 0.0, steps + 1)
    return _tensor(np.sqrt(np.expm1(-np.interp(times, np.arange(len(logs)), logs))))


def lcm_timesteps(steps: int, noise_schedule: NoiseSchedule = STABLE_DIFFUSION) -> Tensor:
    """LCM's own sigmas in A1111: even places among the 50 levels it was distilled at, T - 1 - k T / 50, then 0."""
    sigmas = noise_schedule.sigmas.cpu().numpy()
    logs = np.log(sigmas[:: -(len(sigmas) // 50)])
    return _tensor([*np.exp(np.interp(np.linspace(0.0, len(logs) - 1, steps), np.arange(len(logs)), logs)), 0.0])


def _tensor(sigmas: list[float] | _Floats) -> Tensor:
    return torch.tensor(np.asarray(sigmas), dtype=torch.float32)

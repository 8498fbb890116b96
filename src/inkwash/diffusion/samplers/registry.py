"""Every sampler by its A1111 name, with what the driver must know about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Literal

from torch import Tensor

from inkwash.core.errors import InvalidRequest
from inkwash.diffusion.names import find, unknown
from inkwash.diffusion.noise_schedule import NoiseSchedule
from inkwash.diffusion.samplers import ancestral, ddim, dpm_solver, dpmpp, euler, multistep, restart, unipc
from inkwash.diffusion.samplers.protocol import Noise, Steps
from inkwash.diffusion.schedules import (
    SCHEDULES,
    Schedule,
    ddim_timesteps,
    lcm_timesteps,
    resolve_schedule,
    unipc_timesteps,
)

NoiseKind = Literal["none", "ancestral", "brownian"]


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Call it to begin: a generator that yields (x, sigma), is sent a Prediction, and returns x at the last sigma.

    x: VE latents x0 + sigma eps, any shape; sigmas: 1-D, descending, may end above 0.
    """

    name: str
    function: Callable[..., Steps]
    aliases: tuple[str, ...] = ()
    schedule: str = "Uniform"  # what the schedule "Automatic" stands for
    own_sigmas: Callable[[int, NoiseSchedule], Tensor] | None = None  # "Automatic" of samplers with their own spacing
    noise: NoiseKind = "none"  # ancestral: the picture's generator; brownian: a Brownian path; none: never called
    second_order: bool = False  # A1111: prompt steps count model calls, two a step
    drop_penultimate: bool = False  # make one sigma more, then leave out the last but one
    default_eta: float | None = None  # what A1111 passes when the request names no eta; None: it has none
    uses_ensd: bool = False  # the infotext names ENSD
    vp: bool = False  # start from noise * sqrt(1 + sigma_max^2); the result is x / sqrt(1 + sigma_last^2)
    needs_uncond: bool = False  # every Prediction must carry uncond
    cfg_factor: float = 1.0  # the guidance scale is the request's cfg scale times this

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the keyword options: eta, s_noise, ..."""
        parameters = signature(self.function).parameters.values()
        return tuple(p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY)

    def calls(self, steps: int) -> int:
        """Model calls A1111 expects for so many steps."""
        return steps * 2 if self.second_order else steps

    def __call__(self, x: Tensor, sigmas: Tensor, noise: Noise, **options: object) -> Steps:
        """Raises InvalidRequest for an option this sampler does not have."""
        for option in options:
            if option not in self.options:
                remedy = f"Its options: {', '.join(self.options) or 'none'}."
                raise InvalidRequest(f"The sampler {self.name} has no option {option!r}.", remedy)
        return self.function(x, sigmas, noise, **options)


SAMPLERS: dict[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        Sampler(name="DPM++ 2M", function=dpmpp.dpmpp_2m, aliases=("k_dpmpp_2m",), schedule="Karras"),
        Sampler(
            name="DPM++ SDE",
            function=dpmpp.dpmpp_sde,
            aliases=("k_dpmpp_sde",),
            schedule="Karras",
            noise="brownian",
            second_order=True,
            default_eta=1.0,
        ),
        Sampler(
            name="DPM++ 2M SDE",
            function=dpmpp.dpmpp_2m_sde,
            aliases=("k_dpmpp_2m_sde",),
            schedule="Exponential",
            noise="brownian",
            default_eta=1.0,
        ),
        Sampler(
            name="DPM++ 2M SDE Heun",
            function=dpmpp.dpmpp_2m_sde_heun,
            aliases=("k_dpmpp_2m_sde_heun",),
            schedule="Exponential",
            noise="brownian",
            default_eta=1.0,
        ),
        Sampler(
            name="DPM++ 2S a",
            function=ancestral.dpmpp_2s_ancestral,
            aliases=("k_dpmpp_2s_a", "dpmpp_2s_ancestral"),
            schedule="Karras",
            noise="ancestral",
            second_order=True,
            default_eta=1.0,
            uses_ensd=True,
        ),
        Sampler(
            name="DPM++ 3M SDE",
            function=dpmpp.dpmpp_3m_sde,
            aliases=("k_dpmpp_3m_sde",),
            schedule="Exponential",
            noise="brownian",
            drop_penultimate=True,
            default_eta=1.0,
        ),
        Sampler(
            name="Euler a",
            function=ancestral.euler_ancestral,
            aliases=("k_euler_a", "k_euler_ancestral"),
            noise="ancestral",
            default_eta=1.0,
            uses_ensd=True,
        ),
        Sampler(name="Euler", function=euler.euler, aliases=("k_euler",), noise="ancestral"),
        Sampler(name="LMS", function=multistep.lms, aliases=("k_lms",)),
        Sampler(name="Heun", function=euler.heun, aliases=("k_heun",), noise="ancestral", second_order=True),
        Sampler(
            name="DPM2",
            function=euler.dpm2,
            aliases=("k_dpm_2",),
            schedule="Karras",
            noise="ancestral",
            second_order=True,
            drop_penultimate=True,
        ),
        Sampler(
            name="DPM2 a",
            function=ancestral.dpm2_ancestral,
            aliases=("k_dpm_2_a", "dpm_2_ancestral"),
            schedule="Karras",
            noise="ancestral",
            second_order=True,
            drop_penultimate=True,
            default_eta=1.0,
            uses_ensd=True,
        ),
        Sampler(
            name="DPM fast",
            function=dpm_solver.dpm_fast,
            aliases=("k_dpm_fast",),
            noise="ancestral",
            default_eta=1.0,
            uses_ensd=True,
        ),
        Sampler(
            name="DPM adaptive",
            function=dpm_solver.dpm_adaptive,
            aliases=("k_dpm_ad", "dpm_adaptive"),
            noise="ancestral",
            default_eta=1.0,
            uses_ensd=True,
        ),
        Sampler(
            name="Restart",
            function=restart.restart,
            aliases=("restart",),
            schedule="Karras",
            noise="ancestral",
            second_order=True,
        ),
        Sampler(
            name="DDIM",
            function=ddim.ddim,
            aliases=("ddim",),
            schedule="DDIM",
            own_sigmas=ddim_timesteps,
            noise="ancestral",
            default_eta=0.0,
            vp=True,
        ),
        Sampler(
            name="DDIM CFG++",
            function=ddim.ddim_cfgpp,
            aliases=("ddim_cfgpp",),
            schedule="DDIM",
            own_sigmas=ddim_timesteps,
            noise="ancestral",
            default_eta=0.0,
            vp=True,
            needs_uncond=True,
            cfg_factor=1 / 12.5,  # A1111: 0 .. 12.5 stands for the paper's 0 .. 1
        ),
        Sampler(
            name="PLMS",
            function=multistep.plms,
            aliases=("plms",),
            schedule="DDIM",
            own_sigmas=ddim_timesteps,
            vp=True,
        ),
        Sampler(
            name="UniPC",
            function=unipc.unipc,
            aliases=("unipc", "uni_pc"),
            schedule="DDIM",
            own_sigmas=unipc_timesteps,
            vp=True,
        ),
        Sampler(name="LCM", function=ancestral.lcm, aliases=("k_lcm",), own_sigmas=lcm_timesteps, noise="ancestral"),
        Sampler(name="HeunPP2", function=euler.heunpp2, noise="ancestral"),
        Sampler(name="IPNDM", function=multistep.ipndm),
        Sampler(name="IPNDM_V", function=multistep.ipndm_v),
        Sampler(name="DEIS", function=multistep.deis),
    )
}


def resolve(name: str) -> tuple[Sampler, Schedule | None]:
    """A sampler by name or alias in any case, and the schedule named behind it: "DPM++ 2M Karras", "k_dpmpp_2m_ka".

    None: no schedule was named.  Raises InvalidRequest with the nearest names.
    """
    sampler = _find(name)
    if sampler is not None:
        return sampler, None
    for ending, schedule in _endings():
        if name.strip().casefold().endswith(ending.casefold()):
            sampler = _find(name.strip()[: -len(ending)])
            if sampler is not None:
                return sampler, schedule
    raise unknown("sampler", name, SAMPLERS)


def _find(name: str) -> Sampler | None:
    """By label, or by A1111's or ComfyUI's internal name, which are the same but for "k_"."""
    return find(name, {s: (s.name, *s.aliases, *(a.removeprefix("k_") for a in s.aliases)) for s in SAMPLERS.values()})


def _endings() -> list[tuple[str, Schedule]]:
    labels = [(f" {label}", s) for s in SCHEDULES.values() for label in (s.name, *s.aliases)]
    old = [("_ka", resolve_schedule("Karras")), ("_exp", resolve_schedule("Exponential"))]
    return sorted(labels + old, key=lambda ending: -len(ending[0]))

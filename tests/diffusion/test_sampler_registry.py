"""Names, aliases and what is known of each sampler."""

from __future__ import annotations

import pytest
import torch

from inkwash.core.errors import InvalidRequest
from inkwash.diffusion import SAMPLERS, SCHEDULES, resolve, resolve_schedule

LABELS = """DPM++ 2M; DPM++ SDE; DPM++ 2M SDE; DPM++ 2M SDE Heun; DPM++ 2S a; DPM++ 3M SDE; Euler a; Euler; LMS; Heun;
DPM2; DPM2 a; DPM fast; DPM adaptive; Restart; DDIM; DDIM CFG++; PLMS; UniPC; LCM; HeunPP2; IPNDM; IPNDM_V; DEIS"""


def test_every_label_of_a1111_is_here():
    assert list(SAMPLERS) == [label.strip() for label in LABELS.replace("\n", " ").split(";")]
    assert all(SAMPLERS[name].name == name for name in SAMPLERS)


def test_automatic_schedules():
    for name, sampler in SAMPLERS.items():
        expected = "Uniform"
        if name in ("DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a", "Restart"):
            expected = "Karras"
        if "2M SDE" in name or "3M SDE" in name:
            expected = "Exponential"
        if sampler.vp:
            expected = "DDIM"
        assert sampler.schedule == expected, name


def test_noise_eta_and_options():
    assert {n for n, s in SAMPLERS.items() if s.noise == "brownian"} == {n for n in SAMPLERS if "SDE" in n}
    assert {n for n, s in SAMPLERS.items() if s.default_eta is not None} == {
        n for n, s in SAMPLERS.items() if "eta" in s.options
    }
    assert {n for n, s in SAMPLERS.items() if s.default_eta == 0} == {"DDIM", "DDIM CFG++"}
    assert {"Euler", "Heun", "DPM2"} <= {n for n, s in SAMPLERS.items() if "s_churn" in s.options}
    assert {n for n, s in SAMPLERS.items() if s.drop_penultimate} == {"DPM2", "DPM2 a", "DPM++ 3M SDE"}
    assert {n for n, s in SAMPLERS.items() if s.vp} == {"DDIM", "DDIM CFG++", "PLMS", "UniPC"}


@pytest.mark.parametrize("name", ["Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "Restart"])
def test_second_order_samplers_count_two_calls_a_step(name):
    assert SAMPLERS[name].calls(10) == 20
    assert sum(sampler.second_order for sampler in SAMPLERS.values()) == 6


@pytest.mark.parametrize(
    ("typed", "sampler", "schedule"),
    [
        ("Euler a", "Euler a", None),
        ("euler A", "Euler a", None),
        (" k_euler_ancestral ", "Euler a", None),
        ("euler_ancestral", "Euler a", None),
        ("DPM++ 2M Karras", "DPM++ 2M", "Karras"),
        ("dpm++ 2m sde heun exponential", "DPM++ 2M SDE Heun", "Exponential"),
        ("DPM++ 2M SDE Heun", "DPM++ 2M SDE Heun", None),
        ("DPM++ 2M SGM Uniform", "DPM++ 2M", "SGM Uniform"),
        ("DPM++ 2M SGMUniform", "DPM++ 2M", "SGM Uniform"),
        ("Euler Align Your Steps", "Euler", "Align Your Steps"),
        ("Euler DDIM", "Euler", "DDIM"),
        ("DDIM CFG++", "DDIM CFG++", None),
        ("k_dpmpp_2m_ka", "DPM++ 2M", "Karras"),
        ("k_dpmpp_3m_sde_exp", "DPM++ 3M SDE", "Exponential"),
        ("uni_pc", "UniPC", None),
    ],
)
def test_resolve(typed, sampler, schedule):
    found, named = resolve(typed)
    assert found.name == sampler
    assert (named.name if named else None) == schedule


@pytest.mark.parametrize("typed", ["Eulr a", "DPM++ 2N", "", "Karras", "Euler Karas"])
def test_unknown_sampler_names_the_nearest(typed):
    with pytest.raises(InvalidRequest, match="no sampler") as error:
        resolve(typed)
    assert any(name in error.value.remedy for name in SAMPLERS)


def test_nearest_name_is_the_obvious_one():
    with pytest.raises(InvalidRequest, match=r"mean Euler a"):
        resolve("Eulr a")
    with pytest.raises(InvalidRequest, match=r"mean Karras"):
        resolve_schedule("Karas")


def test_resolve_schedule():
    assert resolve_schedule("sgm_uniform") is SCHEDULES["SGM Uniform"]
    assert resolve_schedule(" KL optimal") is SCHEDULES["KL Optimal"]


def test_an_option_the_sampler_lacks_is_refused():
    with pytest.raises(InvalidRequest, match=r"Euler has no option 'eta'"):
        SAMPLERS["Euler"](torch.zeros(1), torch.tensor([1.0, 0.0]), lambda a, b: torch.zeros(1), eta=1.0)

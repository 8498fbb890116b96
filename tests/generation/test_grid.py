import dataclasses

import pytest

from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, HiresPass
from inkwash.generation import grid

BASE = GenerateRequest(prompt="a cat on a mat", negative_prompt="no cat", seed=5, batch_size=4)


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("3", int, [3]),
        ("1-5", int, [1, 2, 3, 4, 5]),
        ("5 - 1", int, [5, 4, 3, 2, 1]),
        ("1-10 (+3)", int, [1, 4, 7, 10]),
        ("10-1 (-4)", int, [10, 6, 2]),
        ("1-10 [4]", int, [1, 4, 7, 10]),
        ("1-10 [1]", int, [1]),
        ("-3--1", int, [-3, -2, -1]),
        ("0-1 (+0.25)", float, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("0.1-0.3 (+0.1)", float, [0.1, 0.2, 0.3]),
        ("0-1 [3]", float, [0.0, 0.5, 1.0]),
        ("7.5", float, [7.5]),
    ],
)
def test_numbers_are_read_as_a1111_does(text: str, kind: type, values: list[float]) -> None:
    assert grid.numbers(text, kind) == values


@pytest.mark.parametrize("text", ["x", "1-", "1-5 (+0)", "1-5 (-1)", "1-1e9", "1-100000", "1-9 [99999]", "1.5"])
def test_senseless_numbers_are_told(text: str) -> None:
    with pytest.raises(InvalidRequest):
        grid.numbers(text, int)


@pytest.mark.parametrize(
    ("name", "field"),
    [("Seed", "seed"), ("CFG Scale", "cfg_scale"), ("cfg", "cfg_scale"), ("Checkpoint name", "model"),
     ("Hires steps", "hires.steps"), ("hires.upscaler", "hires.upscaler"), ("Denoising", "denoising_strength"),
     ("Clip skip", "clip_skip"), ("Var. strength", "subseed_strength"), ("VAE", "vae"), ("s_noise", "s_noise"),
     ("Face restore", "restore_faces")],
)  # fmt: skip
def test_axes_go_by_many_names(name: str, field: str) -> None:
    assert grid.field_of(name) == field


def test_an_unknown_axis_is_told_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match="sampler"):
        grid.field_of("smapler")
    with pytest.raises(InvalidRequest):
        grid.axis("init_image", "a, b", BASE)


def test_every_combination_is_drawn_row_by_row() -> None:
    x, y = grid.axis("steps", "5, 10", BASE), grid.axis("sampler", "Euler, Heun, DDIM", BASE)
    z = grid.axis("tiling", "false, true", BASE)
    plot = grid.sweep(BASE, x, y, z)
    found = [(request.tiling, request.sampler, request.steps) for request in plot.requests]
    assert found[:3] == [(False, "Euler", 5), (False, "Euler", 10), (False, "Heun", 5)]
    assert len(set(found)) == 12
    assert {(request.seed, request.batch_size) for request in plot.requests} == {(5, 1)}
    assert x.labels() == ["steps: 5", "steps: 10"]
    assert grid.ONE.labels() == [""]


def test_values_of_text_may_hold_commas() -> None:
    assert grid.listed('one, "two, three",  four ,') == ["one", "two, three", "four"]


def test_hires_fields_are_swept_too() -> None:
    plot = grid.sweep(BASE, grid.axis("hires steps", "3-4", BASE), grid.axis("hires.upscaler", "Latent, Lanczos", BASE))
    assert plot.requests[3].hires == HiresPass(steps=4, upscaler="Lanczos")


def test_search_and_replace_changes_both_prompts() -> None:
    plot = grid.sweep(BASE, grid.axis("Prompt S/R", 'cat, dog, "big, fox"', BASE))
    assert [request.prompt for request in plot.requests] == ["a cat on a mat", "a dog on a mat", "a big, fox on a mat"]
    assert plot.requests[1].negative_prompt == "no dog"
    with pytest.raises(InvalidRequest, match="bird"):
        grid.axis("S/R", "bird, dog", BASE)


def test_ten_thousand_cells_are_refused() -> None:
    axis = grid.axis("seed", "1-100", BASE)
    with pytest.raises(InvalidRequest, match="10000 cells"):
        grid.sweep(BASE, axis, axis)


def test_a_matrix_has_every_combination() -> None:
    request = dataclasses.replace(BASE, prompt="a cat | at night | in rain")
    axis = grid.matrix(request)
    plot = grid.sweep(request, axis)
    assert [request.prompt for request in plot.requests] == [
        "a cat", "a cat, at night", "a cat, in rain", "a cat, at night, in rain",
    ]  # fmt: skip
    assert axis.labels() == ["a cat", "at night", "in rain", "at night, in rain"]
    with pytest.raises(InvalidRequest, match="bars"):
        grid.matrix(BASE)
    with pytest.raises(InvalidRequest):
        grid.matrix(dataclasses.replace(BASE, prompt="|".join("abcdefghijklmnop")))


def test_a_contact_sheet_has_sixteen_seeds() -> None:
    assert [request.seed for request in grid.sweep(BASE, grid.seeds(BASE)).requests] == list(range(5, 21))


@pytest.mark.parametrize(
    ("prompt", "without"),
    [
        ("a cat", ["cat", "a"]),
        ("a (cute:1.2) cat, [big], best quality", [
            "(cute:1.2) cat, [big], best quality", "a cat, [big], best quality", "a (cute:1.2), [big], best quality",
            "a (cute:1.2) cat, best quality", "a (cute:1.2) cat, [big], quality", "a (cute:1.2) cat, [big], best",
        ]),
        ("cat AND dog <lora:thing:0.5>", ["AND dog <lora:thing:0.5>", "cat AND <lora:thing:0.5>"]),
    ],
)  # fmt: skip
def test_each_word_is_left_out_in_turn(prompt: str, without: list[str]) -> None:
    request = dataclasses.replace(BASE, prompt=prompt)
    found = [cell.prompt for cell in grid.sweep(request, grid.without_each_word(request)).requests]
    assert found == [prompt, *without]


def test_a_prompt_without_words_is_told() -> None:
    with pytest.raises(InvalidRequest, match="no words"):
        grid.without_each_word(dataclasses.replace(BASE, prompt="1, 2"))

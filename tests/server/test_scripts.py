"""Scripts of A1111's API: many jobs for one call, their sheets, and what is kept of them."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.server.conftest import Opened, context_of
from tests.server.test_a1111 import API, decoded, draw, picture
from tests.support.service import PaintingService

from inkwash.core.wire import from_json
from inkwash.server.a1111 import xyz


def plot(x: int | str = 0, xs: str = "", y: int | str = 0, ys: str = "", **places: Any) -> dict[str, Any]:
    """places: further arguments by place, as _9=False."""
    args: list[Any] = [x, xs, [], y, ys, [], 0, "", [], True, False, False, False, False, False, False, 0, False]
    for place, value in places.items():
        args[int(place[1:])] = value
    return {"script_name": "X/Y/Z plot", "script_args": args}


def requests(service: PaintingService) -> list[Any]:
    """Of all jobs so far, oldest first."""
    return [from_json(job.request, service.blobs.find) for job in reversed(service.desk.list())]


def size(answer: dict[str, Any], index: int = 0) -> tuple[int, int]:
    return decoded(answer["images"][index]).size


def test_axes_are_those_of_a1111() -> None:
    """Clients count: webuiapi's own list for txt2img begins like this."""
    first = [label for label, _, tabs in xyz.AXES if "txt2img" in tabs][:11]
    assert first == [
        "Nothing", "Seed", "Var. seed", "Var. strength", "Steps", "Hires steps", "CFG Scale", "Prompt S/R",
        "Prompt order", "Sampler", "Hires sampler",
    ]  # fmt: skip
    assert [label for label, _, tabs in xyz.AXES if "img2img" in tabs][5:7] == ["CFG Scale", "Image CFG Scale"]


def test_an_axis_of_face_restorers(client: TestClient, service: PaintingService) -> None:
    """A1111's words: a restorer's label, or whether there is to be one."""
    path = context_of(client).settings.models_dir / "models" / "GFPGAN" / "GFPGANv1.4.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    draw(client, **plot("Face restore", "GFPGAN, true, false, None"))
    assert [one.restore_faces for one in requests(service)] == ["GFPGANv1.4", "GFPGANv1.4", None, None]


def test_an_x_y_plot(client: TestClient, service: PaintingService) -> None:
    answer = draw(client, seed=-1, **plot(4, "2, 4", "Sampler", _5=["Euler", "DPM++ 2M Karras"], _9=False))
    assert len(answer["images"]) == 1  # the sheet alone
    assert size(answer) == (128, 128)
    found = requests(service)
    assert [(one.steps, one.sampler, one.schedule) for one in found] == [
        (2, "Euler", "Automatic"), (4, "Euler", "Automatic"), (2, "DPM++ 2M", "Karras"), (4, "DPM++ 2M", "Karras"),
    ]  # fmt: skip
    assert len({one.seed for one in found}) == 1
    info = json.loads(answer["info"])
    assert info["index_of_first_image"] == 1
    assert len(info["infotexts"]) == 1
    assert len(info["all_seeds"]) == 4
    assert client.get("/api/v1/pictures").json()["total"] == 0  # nothing was to be saved


def test_sub_grids_pictures_and_margins(client: TestClient, service: PaintingService) -> None:
    chosen = plot(1, "1-2", "Size", "64x64", _6="CFG Scale", _7="3-7 (+4)", _9=False, _10=True, _11=True, _16=10)
    answer = draw(client, seed=5, **chosen)
    assert [size(answer, index) for index in range(7)] == [(148, 148), (148, 74), (148, 74), *[(64, 64)] * 4]
    assert [(one.seed, one.cfg_scale) for one in requests(service)] == [(1, 3), (2, 3), (1, 7), (2, 7)]
    assert len(json.loads(answer["info"])["infotexts"]) == 7


def test_seeds_that_vary_and_prompts_that_change(client: TestClient, service: PaintingService) -> None:
    draw(client, prompt="a cat", seed=5, **plot("Prompt S/R", "cat, dog", "Steps", "2,3,4", _13=True, _14=True))
    assert [(one.prompt, one.seed) for one in requests(service)] == [
        ("a cat", 5), ("a dog", 6), ("a cat", 7), ("a dog", 8), ("a cat", 9), ("a dog", 10),
    ]  # fmt: skip
    draw(client, prompt="red, hat, big", **plot("prompt order", "hat, red"))
    assert [one.prompt for one in requests(service)[6:]] == ["hat, red, big", "red, hat, big"]
    draw(client, seed=-1, **plot("Styles", "ink", "Steps", "2,3", _12=True))
    last = requests(service)[8:]
    assert [one.styles for one in last] == [("ink",)] * 2
    assert last[0].seed != last[1].seed


def test_cells_of_one_model_are_drawn_after_one_another(client: TestClient, service: PaintingService) -> None:
    """And stand where they belong."""
    answer = draw(client, **plot("VAE", "None, Automatic", "Seed", "1,2", _9=False, _10=True))
    assert [(one.vae, one.seed) for one in requests(service)] == [
        ("Automatic", 1), ("Automatic", 2), ("None", 1), ("None", 2),
    ]  # fmt: skip
    assert json.loads(answer["info"])["all_seeds"] == [1, 1, 2, 2]
    assert [decoded(one).convert("RGB").getpixel((0, 0))[0] for one in answer["images"][1:]] == [1, 1, 2, 2]  # type: ignore[index]


def test_denoising_means_the_second_pass_where_there_is_one(client: TestClient, service: PaintingService) -> None:
    draw(client, enable_hr=True, **plot("Denoising", "0.2, 0.4"))
    assert [one.hires.denoising_strength for one in requests(service)] == [0.2, 0.4]


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ({"script_name": "no such script"}, "Script not found"),
        ({"script_name": "loopback"}, "Script not found"),  # img2img has it
        (plot("Stepz", "1"), "Steps"),
        (plot(99, "1"), "below"),
        (plot("FP8 mode", "Enable"), "not in this version"),
        (plot("Steps", ""), "no values"),
        (plot("Steps", "many"), "whole numbers"),
        (plot("Seed", "1-400"), "at most 256"),
        (plot("Seed", "1-2000"), "at most 1000"),
        (plot("Sampler", "Eulr"), "sampler"),
        (plot("Checkpoint name", "absent"), "absent"),
        (plot("Size", "big"), "512x768"),
        (plot("Prompt order", "a, z"), "does not hold"),
        (plot("Steps", "2", _16=-3), "margins"),
        (plot("Steps", "2", _9="yes"), "legend"),
        ({"script_name": "prompt matrix"}, "options"),
        ({"script_name": "prompt matrix", "script_args": [False, False, "both"]}, "positive"),
    ],
)
def test_senseless_scripts_are_told_before_anything_is_drawn(
    client: TestClient, service: PaintingService, script: dict[str, Any], word: str
) -> None:
    answer = client.post(f"{API}/txt2img", json={"prompt": "a cat", "width": 64, "height": 64} | script)
    assert answer.status_code in (404, 422)
    assert word in answer.text
    assert service.desk.list() == []


def test_a_prompt_matrix(client: TestClient, service: PaintingService) -> None:
    answer = draw(client, prompt="a cat|at night, | in rain", script_name="Prompt matrix", script_args=[True, True])
    assert len(answer["images"]) == 5
    assert [(one.prompt, one.seed) for one in requests(service)] == [
        ("a cat", 3), ("at night, a cat", 4), ("in rain, a cat", 5), ("at night, in rain, a cat", 6),
    ]  # fmt: skip
    args = [False, False, "negative", "space", 0]
    draw(client, negative_prompt="a|b", script_name="prompt matrix", script_args=args)
    assert [one.negative_prompt for one in requests(service)[4:]] == ["a", "a b"]


def test_loopback_draws_over_what_it_drew(client: TestClient, service: PaintingService) -> None:
    body = {
        "init_images": [picture()], "prompt": "x", "seed": 7, "width": 64, "height": 64, "denoising_strength": 0.9,
        "script_name": "loopback", "script_args": [3, 0.3, "Linear"],
    }  # fmt: skip
    answer = client.post(f"{API}/img2img", json=body)
    assert answer.status_code == 200, answer.text
    found = requests(service)
    assert [(one.seed, round(one.denoising_strength, 3)) for one in found] == [(7, 0.9), (8, 0.6), (9, 0.3)]
    assert [one.init_image.size for one in found] == [(8, 8), (64, 64), (64, 64)]
    drawn = [decoded(one).convert("RGB") for one in answer.json()["images"]]
    assert [one.init_image.convert("RGB").tobytes() for one in found[1:]] == [one.tobytes() for one in drawn[:2]]


def test_several_sources_are_a_batch(client: TestClient, service: PaintingService) -> None:
    body = {
        "init_images": [picture((8, 8)), picture((16, 8))], "seed": 7, "width": 64, "height": 64, "n_iter": 2,
        "mask": picture((4, 4)),
    }  # fmt: skip
    answer = client.post(f"{API}/img2img", json=body)
    assert answer.status_code == 200, answer.text
    assert [(one.seed, one.init_image.size, one.mask.size) for one in requests(service)] == [
        (7, (8, 8), (8, 8)), (8, (16, 8), (16, 8)), (9, (8, 8), (8, 8)), (10, (16, 8), (16, 8)),
    ]  # fmt: skip
    assert json.loads(answer.json()["info"])["all_seeds"] == [7, 8, 9, 10]


def test_a_first_pass_that_is_there_already(client: TestClient, service: PaintingService) -> None:
    draw(client, enable_hr=True, hr_scale=2, firstpass_image=picture((64, 64)), denoising_strength=0.4)
    draw(client, firstpass_image=picture((64, 64)))
    first, second = requests(service)
    assert (first.init_image.size, first.denoising_strength, first.hires.denoising_strength) == ((64, 64), 0.0, 0.4)
    assert second.init_image is None


def test_only_what_is_to_be_saved_is_kept(client: TestClient, service: PaintingService, tmp_path: Path) -> None:
    draw(client, batch_size=2)
    assert client.get("/api/v1/pictures").json()["total"] == 0
    assert list(tmp_path.rglob("*.png")) == []
    draw(client, batch_size=2, save_images=True)
    assert client.get("/api/v1/pictures").json()["total"] == 2
    draw(client, batch_size=2, save_images=True, do_not_save_samples=True)
    assert client.get("/api/v1/pictures").json()["total"] == 2
    assert len(list((tmp_path / "outputs" / "txt2img-grids").rglob("*.png"))) == 2
    body = {"init_images": [picture()], "batch_size": 2, "save_images": True, "width": 64, "height": 64}
    assert client.post(f"{API}/img2img", json=body).status_code == 200
    assert len(list((tmp_path / "outputs" / "img2img-grids").rglob("*.png"))) == 1


def test_an_interrupt_ends_the_whole_plot_and_a_skip_one_picture(client: TestClient, service: PaintingService) -> None:
    """What was drawn by then is on the sheet."""
    service.let_go.clear()
    answers: list[dict[str, Any]] = []
    many = plot("Steps", "1-20", _9=False, _10=True) | {"force_task_id": "task(plot)"}
    thread = threading.Thread(target=lambda: answers.append(draw(client, **many)))
    thread.start()
    assert service.at_work.wait(120)
    assert client.get(f"{API}/progress").json()["state"]["job_count"] == 20
    task = client.post("/internal/progress", json={"id_task": "task(plot)"}).json()
    assert task["active"] is True
    assert 0 < task["progress"] < 0.06
    assert client.post(f"{API}/skip").json() == {}
    job = service.desk.list(states=("running",))[0].id
    assert service.wishes == [("skip", job)]
    assert client.post(f"{API}/interrupt").json() == {}
    assert service.wishes[1:] == [("interrupt", job)]  # those that waited are gone
    service.let_go.set()
    thread.join(120)
    assert [size(answers[0], index) for index in range(len(answers[0]["images"]))] == [(20 * 64, 64), (64, 64)]
    assert service.desk.counts() == {"queued": 0, "running": 0}


def test_a_plot_longer_than_the_queue(opened: Opened, service: PaintingService) -> None:
    service.desk.queue = 2
    assert size(draw(opened(), **plot("Seed", "1-12", _9=False))) == (12 * 64, 64)


def test_scripts_are_listed(client: TestClient) -> None:
    assert client.get(f"{API}/scripts").json() == {
        "txt2img": ["prompt matrix", "x/y/z plot", "tiled diffusion", "tiled vae"],
        "img2img": [
            "prompt matrix",
            "x/y/z plot",
            "sd upscale",
            "loopback",
            "soft inpainting",
            "tiled diffusion",
            "tiled vae",
        ],
    }
    told = {(one["name"], one["is_img2img"]): one for one in client.get(f"{API}/script-info").json()}
    assert len(told) == 6
    assert len(told["x/y/z plot", False]["args"]) == 18
    assert told["loopback", True]["args"][2]["choices"] == ["Linear", "Aggressive", "Lazy"]


def test_models_are_let_go_and_loaded(client: TestClient, service: PaintingService) -> None:
    assert client.post(f"{API}/unload-checkpoint").json() == {}
    assert client.post(f"{API}/reload-checkpoint").json() == {}
    assert service.loaded[0] == "nothing"
    assert str(service.loaded[1]).startswith("inkwash-box")

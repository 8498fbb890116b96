"""Converting, pruning and merging: bit for bit where nothing is computed, against PyTorch's arithmetic where it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.checkpoints import random_weights, sd1_spec, sd2_spec, sdxl_spec, write_ldm, x4_spec

from inkwash.checkpoint import (
    ModelSpec,
    NoiseSpec,
    detect,
    model_weights,
    read,
    read_header,
    save_diffusers,
    write,
)
from inkwash.checkpoint import open as open_source
from inkwash.checkpoint.blocks import parse_blocks
from inkwash.checkpoint.convert import ldm_file
from inkwash.checkpoint.merge import Part, Recipe, merged, mode_named
from inkwash.checkpoint.pipeline import diffusers_folder
from inkwash.checkpoint.select import everything, pruned
from inkwash.checkpoint.weights import stored_weights
from inkwash.core.errors import InkwashError, InvalidRequest

UNET = "model.diffusion_model."
LEFT_BEHIND = re.compile(  # the last layer of SD2's tiny text encoders is number 2
    r"model_ema\.|low_scale_model\.|betas|alphas_cumprod|sqrt_|.*\.position_ids|.*\.logit_scale"
    r"|cond_stage_model\.model\.(text_projection|transformer\.resblocks\.2\.)"
)
FAMILIES = {
    "SD1": sd1_spec(vocabulary=100),
    "SD1 inpainting v": sd1_spec(in_channels=9, prediction="v", dtype=torch.float16, vocabulary=100),
    "SD2": sd2_spec(vocabulary=100),
    "SD2 for 512 pixels": sd2_spec(prediction="eps", dtype=torch.bfloat16, vocabulary=100),
    "SDXL": sdxl_spec(dtype=torch.float16, vocabulary=100),
    "x4": x4_spec(dtype=torch.float16, vocabulary=100),
    "refiner": sdxl_spec((64, 128, 128, 64), (0, 2, 2, 0), refiner=True, vocabulary=100),
}
LATER = {name: spec for name, spec in FAMILIES.items() if spec.family != "sd1"}


@pytest.fixture(scope="module")
def files(tiny: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A, B, C of one structure; A has EMA weights, tables and a recipe of its own."""
    folder = tmp_path_factory.mktemp("merge")
    told = {"sd_merge_recipe": json.dumps({"multiplier": 1}), "sd_merge_models": json.dumps({"ff": {"name": "old"}})}
    for seed, name in enumerate("abc"):
        write_ldm(folder / f"{name}.safetensors", tiny, seed=seed, ema=seed == 0, metadata=told if seed == 0 else None)
    return [folder / f"{name}.safetensors" for name in "abc"]


def merge(files: list[Path], recipe: Recipe, target: Path, dtype: str | None = None) -> dict[str, torch.Tensor]:
    with ExitStack() as stack:
        parts = [Part(stack.enter_context(open_source(path)), detect(path), path.stem * 64) for path in files]
        merged(parts, recipe, dtype).write(target)
    return load_file(target)


@pytest.mark.parametrize("spec", FAMILIES.values(), ids=FAMILIES)
def test_file_to_folder_and_back_bit_for_bit(spec: ModelSpec, tmp_path: Path) -> None:
    """The weights, what the model is, and its metadata; only what no network reads is left behind."""
    file, folder, back = tmp_path / "m.safetensors", tmp_path / "folder", tmp_path / "back.safetensors"
    told = write_ldm(file, spec, ema=True, metadata=metadata_of(spec) | {"ss_tag_frequency": "{}"})
    with open_source(file) as source:
        diffusers_folder(stored_weights(source, detect(file)), detect(file)).write(folder)
    assert_equal(read(folder), dict(random_weights(spec)))
    found = replace(told, path=folder, name="folder", layout="diffusers", has_ema=False)
    assert detect(folder) == found
    with open_source(folder) as source:
        ldm_file(stored_weights(source, found), found).write(back)
    original, again = load_file(file), load_file(back)
    left = set(original) - set(again)
    assert all(LEFT_BEHIND.match(name) for name in left), left
    assert_equal(again, {name: tensor for name, tensor in original.items() if name not in left})
    assert detect(back) == replace(told, path=back, name="back", has_ema=False)
    assert read_header(back).metadata.items() >= read_header(file).metadata.items()


def metadata_of(spec: ModelSpec) -> dict[str, str]:
    return {"modelspec.prediction_type": {"eps": "epsilon", "v": "v", "x0": "sample"}[spec.prediction]}


def test_what_is_left_out_of_a_folder_is_told(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    write_ldm(file, sd2_spec(vocabulary=100), ema=True)
    original = load_file(file)
    with open_source(file) as source:
        weights = stored_weights(source, detect(file))
    left = {name: tensor.nbytes for name, tensor in original.items() if LEFT_BEHIND.match(name)}
    copies = sum(size for name, size in left.items() if name.startswith("model_ema."))
    assert weights.dropped == {"EMA copies": copies, "tables and unused layers": sum(left.values()) - copies}
    assert weights.nbytes == sum(tensor.nbytes for tensor in original.values()) - sum(left.values())


def test_a_folder_in_another_dtype_and_how_far_it_is(ldm_file: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with open_source(ldm_file) as source:
        plan = diffusers_folder(stored_weights(source, detect(ldm_file), "bfloat16"), detect(ldm_file))
        plan.write(tmp_path / "folder", lambda done, total: told.append((done, total)))
        expected = {name: weight.bfloat16() for name, weight in model_weights(source, detect(ldm_file))}
    assert_equal(read(tmp_path / "folder"), expected)
    assert plan.nbytes == sum(weight.nbytes for weight in expected.values())
    assert sorted(told) == told
    assert {total for _, total in told} == {len(expected)}
    assert told[-1] == (len(expected), len(expected))


def test_a_folder_appears_whole_or_not_at_all(ldm_file: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 800:  # in the second network
            raise KeyboardInterrupt

    with open_source(ldm_file) as source, pytest.raises(KeyboardInterrupt):
        diffusers_folder(stored_weights(source, detect(ldm_file)), detect(ldm_file)).write(tmp_path / "folder", stop)
    assert os.listdir(tmp_path) == []


def test_what_a_folder_says_and_shapes_do_not(tmp_path: Path) -> None:
    """Heads, the latents' scale and the size survive in a single file; another noise schedule cannot, and is told."""
    spec = sd1_spec(heads=4, vocabulary=100)
    spec = replace(
        spec, vae=replace(spec.vae, scale_factor=0.5), native_size=256, noise=NoiseSpec("linear", 1e-4, 0.02)
    )
    save_diffusers(tmp_path / "folder", random_weights(spec), spec)
    found = detect(tmp_path / "folder")
    with open_source(tmp_path / "folder") as source:
        plan = ldm_file(stored_weights(source, found), found)
        plan.write(tmp_path / "m.safetensors")
    again = detect(tmp_path / "m.safetensors")
    assert (again.unet, again.vae, again.native_size) == (spec.unet, spec.vae, 256)
    [note] = plan.notes
    assert "linear, 0.0001 to 0.02, 1000 steps" in note


def test_everything_as_stored(ldm_file: Path, tmp_path: Path) -> None:
    with open_source(ldm_file) as source:
        everything(source).write(tmp_path / "copy.safetensors")
    assert_equal(load_file(tmp_path / "copy.safetensors"), load_file(ldm_file))


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_in_another_dtype(dtype: str, ldm_file: Path, tmp_path: Path) -> None:
    """The noise tables and position numbers keep theirs."""
    with open_source(ldm_file) as source:
        plan = everything(source, dtype)
        plan.write(tmp_path / "half.safetensors")
    original = load_file(ldm_file)
    for name, tensor in load_file(tmp_path / "half.safetensors").items():
        kept = name.startswith(("betas", "alphas", "sqrt")) or name.endswith("position_ids")
        expected = original[name] if kept else original[name].to(getattr(torch, dtype))
        assert tensor.dtype == expected.dtype
        assert torch.equal(tensor, expected)
    assert plan.nbytes == sum(info.nbytes for info in read_header(tmp_path / "half.safetensors").tensors.values())


def test_what_float16_cannot_hold_is_told(tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors", {"a": torch.tensor([70_000.0])})
    with open_source(tmp_path / "m.safetensors") as source, pytest.raises(InkwashError, match="65504"):
        everything(source, "float16").write(tmp_path / "half.safetensors")
    assert not (tmp_path / "half.safetensors").exists()
    with open_source(tmp_path / "m.safetensors") as source, pytest.raises(InvalidRequest, match="float64"):
        everything(source, "float64")


def test_pruned_of_copies_and_strays(files: list[Path], tmp_path: Path) -> None:
    original = load_file(files[0])
    stray = original | {"optimizer.state": torch.ones(8), "first_stage_model.loss.logvar": torch.ones(1)}
    save_file(stray, tmp_path / "m.safetensors")
    with open_source(tmp_path / "m.safetensors") as source:
        plan = pruned(source, detect(tmp_path / "m.safetensors"))
        plan.write(tmp_path / "pruned.safetensors")
    ema = {name: tensor for name, tensor in original.items() if name.startswith("model_ema.")}
    assert plan.dropped == {
        "EMA copies": sum(tensor.nbytes for tensor in ema.values()),
        "the VAE's training loss": 4,
        "tensors of no network": 32,
    }
    assert_equal(load_file(tmp_path / "pruned.safetensors"), {n: t for n, t in original.items() if n not in ema})
    assert detect(tmp_path / "pruned.safetensors").has_ema is False


def test_ema_weights_take_the_plain_ones_place(tiny: ModelSpec, tmp_path: Path) -> None:
    write_ldm(tmp_path / "m.safetensors", tiny, ema=True)
    tensors = load_file(tmp_path / "m.safetensors")
    for name in list(tensors):
        if name.startswith("model_ema."):
            tensors[name] = tensors[name] + 1
    save_file(tensors, tmp_path / "m.safetensors")
    with open_source(tmp_path / "m.safetensors") as source:
        pruned(source, detect(tmp_path / "m.safetensors"), ema=True).write(tmp_path / "ema.safetensors")
    found = load_file(tmp_path / "ema.safetensors")
    assert not any(name.startswith("model_ema.") for name in found)
    for name, tensor in found.items():
        assert torch.equal(tensor, tensors[name] + 1 if name.startswith(UNET) else tensors[name])


def test_pruning_to_ema_that_is_not_there(files: list[Path]) -> None:
    with open_source(files[1]) as source, pytest.raises(InvalidRequest, match="no EMA weights"):
        pruned(source, detect(files[1]), ema=True)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_weighted_sum(alpha: float, files: list[Path], tmp_path: Path) -> None:
    found = merge(files[:2], Recipe("weighted-sum", alpha), tmp_path / "m.safetensors")
    a, b = load_file(files[0]), load_file(files[1])
    assert set(found) == {name for name in a if not name.startswith("model_ema.")}
    for name, tensor in found.items():
        expected = torch.lerp(a[name].double(), b[name].double(), alpha).to(a[name].dtype)
        assert torch.allclose(tensor, expected, rtol=1e-6, atol=1e-7), name
        if alpha in (0, 1):
            assert torch.equal(tensor, (b if alpha else a)[name])


def test_add_difference(files: list[Path], tmp_path: Path) -> None:
    found = merge(files, Recipe("add-difference", 0.7), tmp_path / "m.safetensors", "float16")
    a, b, c = map(load_file, files)
    name = f"{UNET}out.2.weight"
    expected = (a[name].double() + (b[name].double() - c[name].double()) * 0.7).half()
    assert torch.allclose(found[name].float(), expected.float(), rtol=1e-3, atol=1e-6)
    assert found["betas"].dtype == torch.float32
    for part in (files[1:2] * 3, [files[0], files[1], files[1]]):
        same = merge(part, Recipe("add-difference", 0.7), tmp_path / "same.safetensors")
        assert torch.equal(same[name], load_file(part[0])[name])


def test_block_weights(files: list[Path], tmp_path: Path) -> None:
    """Each block takes its own number: IN05 all of B, the base a quarter, the rest nothing."""
    a, b = load_file(files[0]), load_file(files[1])
    numbers = ["0.25", *["0"] * 5, "1", *["0"] * 19]
    blocks = parse_blocks(",".join(numbers), a, 0.5)
    found = merge(files[:2], Recipe("weighted-sum", 0.5, blocks), tmp_path / "m.safetensors")
    for name, tensor in found.items():
        if name.startswith(f"{UNET}input_blocks.5."):
            assert torch.equal(tensor, b[name])
        elif name.startswith(UNET):
            assert torch.equal(tensor, a[name])
        elif name.endswith("weight"):
            assert torch.allclose(tensor, a[name] * 0.75 + b[name] * 0.25)


def test_which_block_a_weight_belongs_to(files: list[Path]) -> None:
    keys = read_header(files[0]).tensors
    blocks = parse_blocks(",".join(str(number / 10) for number in range(25)), keys, -1)
    expected = {
        "time_embed.0.weight": 0.0, "input_blocks.0.0.weight": 0.0, "input_blocks.11.0.in_layers.0.weight": 1.1,
        "middle_block.1.norm.weight": 1.2, "output_blocks.0.0.in_layers.0.bias": 1.3,
        "output_blocks.11.0.in_layers.0.bias": 2.4, "out.2.bias": 2.4,
    }  # fmt: skip
    for name, weight in expected.items():
        assert UNET + name in keys
        assert blocks.weight(UNET + name) == weight
    assert blocks.weight("first_stage_model.quant_conv.weight") == -1
    assert blocks.weight("cond_stage_model.transformer.text_model.final_layer_norm.bias") == -1


@pytest.mark.parametrize("text", ["", "0.5", "a", ",".join(["0"] * 24), ",".join(["0"] * 27), ",".join(["nan"] * 25)])
def test_wrong_block_weights_are_told(text: str, files: list[Path]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_blocks(text, read_header(files[0]).tensors, 0.5)
    assert "IN00-IN11, M00, OUT00-OUT11" in caught.value.remedy


@pytest.mark.parametrize("spec", LATER.values(), ids=LATER)
def test_pruning_later_families(spec: ModelSpec, tmp_path: Path) -> None:
    """As SD1's; what SD2's file holds of its text encoder's last layer stays, for programs that want it."""
    file, target = tmp_path / "m.safetensors", tmp_path / "pruned.safetensors"
    told = write_ldm(file, spec, ema=True, metadata=metadata_of(spec))
    original = load_file(file)
    kept = {name: tensor for name, tensor in original.items() if not name.startswith("model_ema.")}
    save_file(original | {"optimizer.state": torch.ones(8)}, file, read_header(file).metadata)
    with open_source(file) as source:
        plan = pruned(source, detect(file))
        plan.write(target)
        pruned(source, detect(file), ema=True).write(tmp_path / "ema.safetensors")
    assert set(plan.dropped) == {"EMA copies", "tensors of no network"}
    assert_equal(load_file(target), kept)
    assert_equal(load_file(tmp_path / "ema.safetensors"), kept)  # write_ldm's copies equal the plain weights
    assert detect(target) == replace(told, path=target, name="pruned", has_ema=False)


@pytest.mark.parametrize("spec", LATER.values(), ids=LATER)
def test_merging_later_families(spec: ModelSpec, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for seed, path in enumerate(paths):
        write_ldm(path, replace(spec, dtype="float32"), seed=seed, metadata=metadata_of(spec))
    a, b, c = map(load_file, paths)
    half = merge(paths[:2], Recipe("weighted-sum", 0.3), tmp_path / "half.safetensors", "float16")
    different = merge(paths, Recipe("add-difference", 0.7), tmp_path / "difference.safetensors")
    assert set(half) == set(different) == set(a)
    for name in a:
        if LEFT_BEHIND.match(name):  # the same in all
            assert torch.equal(different[name], a[name])
            continue
        expected = torch.lerp(a[name].double(), b[name].double(), 0.3)
        assert half[name].dtype == torch.float16
        assert torch.allclose(half[name].double(), expected, rtol=1e-3, atol=1e-6), name
        expected = a[name].double() + (b[name].double() - c[name].double()) * 0.7
        assert torch.allclose(different[name].double(), expected, rtol=1e-5, atol=1e-6), name
    assert half["betas"].dtype == torch.float32
    assert detect(tmp_path / "half.safetensors").unet == spec.unet


def test_block_weights_of_xl(tmp_path: Path) -> None:
    """Nine blocks on each way: OUT01 all of B, the rest of A."""
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for seed, path in enumerate(paths):
        write_ldm(path, sdxl_spec(vocabulary=100), seed=seed)
    a, b = map(load_file, paths)
    blocks = parse_blocks(",".join(["0"] * 11 + ["1"] + ["0"] * 7), a, 0)
    found = merge(paths, Recipe("weighted-sum", 0.5, blocks), tmp_path / "m.safetensors")
    for name, tensor in found.items():
        assert torch.equal(tensor, (b if name.startswith(f"{UNET}output_blocks.1.") else a)[name]), name


def test_the_recipe_is_written(files: list[Path], tmp_path: Path) -> None:
    merge(files[:2], Recipe("weighted-sum", 0.3), tmp_path / "m.safetensors")
    metadata = read_header(tmp_path / "m.safetensors").metadata
    recipe, models = json.loads(metadata["sd_merge_recipe"]), json.loads(metadata["sd_merge_models"])
    assert recipe["primary_model_hash"] == "a" * 64
    assert (recipe["interp_method"], recipe["multiplier"]) == ("Weighted sum", 0.3)
    assert models["a" * 64] == {"name": "a.safetensors", "sd_merge_recipe": {"multiplier": 1}}
    assert models["b" * 64]["sd_merge_recipe"] is None
    assert models["ff"] == {"name": "old"}


def test_an_inpainting_models_own_channels_stay(files: list[Path], tiny: ModelSpec, tmp_path: Path) -> None:
    inpainting = replace(tiny, unet=replace(tiny.unet, in_channels=9))
    write_ldm(tmp_path / "inpaint.safetensors", inpainting, seed=9)
    parts = [tmp_path / "inpaint.safetensors", files[1], files[2]]
    found = merge(parts, Recipe("add-difference", 1.0), tmp_path / "m.safetensors")
    a, b, c = (load_file(path)[f"{UNET}input_blocks.0.0.weight"] for path in parts)
    name = f"{UNET}input_blocks.0.0.weight"
    assert torch.equal(found[name][:, 4:], a[:, 4:])
    assert torch.allclose(found[name][:, :4], a[:, :4] + (b - c), atol=1e-6)


def test_what_cannot_be_merged(files: list[Path], diffusers_folder: Path, tmp_path: Path) -> None:
    write_ldm(tmp_path / "wide.safetensors", sd1_spec((64, 64, 64, 64), vocabulary=100))
    write_ldm(tmp_path / "vocabulary.safetensors", sd1_spec(vocabulary=101))
    for other, words in {
        tmp_path / "wide.safetensors": "built differently",
        tmp_path / "vocabulary.safetensors": "has the shape",
        diffusers_folder: "is a folder",
    }.items():
        with pytest.raises(InvalidRequest, match=words):
            merge([files[0], other], Recipe(), tmp_path / "m.safetensors")
    with pytest.raises(InvalidRequest, match="merges 3 models"):
        merge(files[:2], Recipe("add-difference"), tmp_path / "m.safetensors")
    with pytest.raises(InvalidRequest, match="mode"):
        mode_named("sum", 2)
    assert (mode_named("", 2), mode_named("", 3)) == ("weighted-sum", "add-difference")


SCRIPT = """
import sys
from pathlib import Path
from inkwash.checkpoint import detect, open
from inkwash.checkpoint.convert import ldm_file
from inkwash.checkpoint.merge import Part, Recipe, merged
from inkwash.checkpoint.pipeline import diffusers_folder
from inkwash.checkpoint.weights import stored_weights
from inkwash.prompt.tokenizer import load
import torch
load()
torch.set_num_threads(1)
torch.ones(4).half().float()
folder, *files = map(Path, sys.argv[1:])
def merge():
    with open(files[0]) as first, open(files[1]) as second:
        merged([Part(first, detect(files[0])), Part(second, detect(files[1]))], Recipe()).write(folder / "merged")
def convert():
    there, back = (diffusers_folder, files[0], folder / "new"), (ldm_file, folder / "new", folder / "back")
    for write, before, after in (there, back):
        with open(before) as source:
            write(stored_weights(source, detect(before)), detect(before)).write(after)
def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
before = peak()
merge() if len(files) == 2 else convert()
print(peak() - before)
"""


def memory(folder: Path, spec: ModelSpec, files: int) -> tuple[int, int]:
    """(bytes of the files, growth of the peak of resident memory) of merging two or converting one there and back,
    in a process of its own."""
    paths = [folder / f"{seed}.safetensors" for seed in range(files)]
    for seed, path in enumerate(paths):
        write_ldm(path, spec, seed=seed)
    run = subprocess.run([sys.executable, "-c", SCRIPT, folder, *paths], capture_output=True, text=True, check=True)
    return sum(path.stat().st_size for path in paths), int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_converting_holds_one_tensor_at_a_time(tmp_path: Path) -> None:
    """A file of 170 MB, most of it an OpenCLIP text encoder, whose q, k and v are cut and joined again."""
    size, grown = memory(tmp_path, sdxl_spec(widths=(64, 768), text_layers=(2, 4), vocabulary=100), 1)
    print(f"{size / 1e6:.0f} MB converted twice, {grown / 1e6:.0f} MB more resident memory")
    assert size > 160_000_000
    assert grown < 60_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_merging_holds_one_tensor_at_a_time(tmp_path: Path) -> None:
    """Two files of 97 MB: resident memory, mapped pages included, grows by a few of the largest tensors (3 MB)."""
    size, grown = memory(tmp_path, sd1_spec((64, 128, 192, 192), vocabulary=100, width=128), 2)
    print(f"{size / 1e6:.0f} MB merged, {grown / 1e6:.0f} MB more resident memory")
    assert size > 180_000_000
    assert grown < 60_000_000

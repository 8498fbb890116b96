"""What a file is, from its header alone."""

from __future__ import annotations

import json
import shutil
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.checkpoints import full_spec, sd1_spec, sd2_spec, sdxl_spec, write_diffusers, write_ldm, x4_spec

from inkwash.checkpoint import (
    DamagedFile,
    ModelSpec,
    NoiseSpec,
    UnsupportedModel,
    VAESpec,
    check_keys,
    detect,
    detect_vae,
    read_header,
    vae_weights,
)
from inkwash.checkpoint import open as open_source
from inkwash.checkpoint.keys import ldm_shape, ldm_to_diffusers
from inkwash.checkpoint.parameters import parameters
from inkwash.checkpoint.spec import LowResSpec

STATED = {"modelspec.prediction_type": "epsilon"}


@pytest.mark.parametrize(
    "spec",
    [
        sd1_spec(vocabulary=100),
        sd1_spec(in_channels=9, dtype=torch.float16, vocabulary=100),
        sd1_spec(
            (32, 64), depths=(1, 2), layers=1, vae_channels=(32,), vae_layers=1, dtype=torch.bfloat16, vocabulary=9
        ),
        sd1_spec(
            (64, 32, 96), depths=(0, 3, 0), layers=3, vae_channels=(32, 64), width=128, text_layers=5, vocabulary=9
        ),
        sd1_spec((32,), depths=(1,), width=32, text_layers=1, vocabulary=9),
        sd1_spec(dtype=torch.float8_e4m3fn, vocabulary=9),
        sd2_spec(prediction="eps", width=128, dtype=torch.float16, vocabulary=9),
        sd2_spec(prediction="eps", in_channels=9, vocabulary=9),
        sdxl_spec(dtype=torch.float16, vocabulary=9),
        sdxl_spec((64, 128), (1, 3), widths=(128, 192), text_layers=(3, 1), in_channels=9, vocabulary=9),
        sdxl_spec((128, 192, 192, 64), (0, 4, 4, 0), refiner=True, dtype=torch.float8_e5m2, vocabulary=9),
        replace(x4_spec(dtype=torch.float16, vocabulary=9), prediction="eps"),
    ],
    ids=[
        "tiny",
        "inpainting fp16",
        "two levels bf16",
        "three levels",
        "one level",
        "fp8",
        "SD2 fp16",
        "SD2 inpainting",
        "SDXL fp16",
        "SDXL inpainting, other sizes",
        "refiner fp8",
        "x4",
    ],
)
def test_sizes_are_read_from_a_file(spec: ModelSpec, tmp_path: Path) -> None:
    expected = write_ldm(tmp_path / "model.safetensors", spec, metadata=STATED)
    assert detect(tmp_path / "model.safetensors") == expected


def test_ema_is_noticed_and_ignored(tiny: ModelSpec, tmp_path: Path) -> None:
    expected = write_ldm(tmp_path / "model.safetensors", tiny, ema=True)
    assert expected.has_ema
    assert detect(tmp_path / "model.safetensors") == expected


@pytest.mark.parametrize("variant", [None, "fp16"])
@pytest.mark.parametrize(
    "spec",
    [
        sd1_spec(
            (32, 96, 64), depths=(1, 0, 2), heads=4, layers=1, vae_channels=(32, 64), prediction="v", vocabulary=100
        ),
        sd2_spec(vocabulary=100),
        sdxl_spec(vocabulary=100),
        sdxl_spec((64, 128, 128, 64), (0, 2, 2, 0), refiner=True, vocabulary=100),
        x4_spec(vocabulary=100),
    ],
    ids=["SD1", "SD2", "SDXL", "refiner", "x4"],
)
def test_sizes_are_read_from_a_folder(spec: ModelSpec, variant: str | None, tmp_path: Path) -> None:
    write_diffusers(tmp_path / "model", spec, variant=variant)
    found = detect(tmp_path / "model")
    assert found == replace(spec, path=tmp_path / "model", name="model", layout="diffusers")


def _listing(path: Path, spec: ModelSpec) -> None:
    """A sparse file: the real header of a model of that size, and a hole for its data."""
    shapes, end, header = parameters(spec), 0, {}
    for ldm, names in ldm_to_diffusers(spec).items():
        shape = ldm_shape(ldm, shapes[names[0]])
        start, end = end, end + 4 * torch.Size(shape).numel()
        header[ldm] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


@pytest.mark.slow
def test_full_size_takes_a_tenth_of_a_second(tmp_path: Path) -> None:
    path = tmp_path / "v1-5.safetensors"
    _listing(path, full_spec())
    assert path.stat().st_size > 4.2e9
    seconds = []
    for _ in range(5):
        start = time.process_time()
        spec = detect(path)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.1
    assert spec.unet == full_spec().unet
    assert (spec.texts[0].heads, spec.texts[0].layers, spec.vae.channels) == (12, 12, (128, 256, 512, 512))


def _changed(source: Path, target: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    tensors = load_file(source)
    change(tensors)
    save_file(tensors, target)
    return target


def test_older_layout_without_text_model(ldm_file: Path, tmp_path: Path) -> None:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".text_model." in name]:
            tensors[name.replace(".text_model.", ".")] = tensors.pop(name)

    path = _changed(ldm_file, tmp_path / "old.safetensors", rename)
    assert detect(path).texts == detect(ldm_file).texts
    assert check_keys(detect(path), read_header(path)).unexpected == ()


def test_unknown_tensors_are_named(ldm_file: Path, tmp_path: Path) -> None:
    path = _changed(ldm_file, tmp_path / "more.safetensors", lambda t: t.update(surprise=torch.ones(1)))
    spec = detect(path)
    assert check_keys(spec, read_header(path)).unexpected == ("surprise",)
    assert any("surprise" in note for note in spec.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["<", "lora_", "lllite_x", "model.diffusion_model.", "model.diffusion_model" + "." * 700]
)
def test_hostile_names_cost_little(name: str, ldm_file: Path, tmp_path: Path) -> None:
    """30,000 long names beside a sound model: answered within 2 s of this process's time, in a short message."""
    path, text = tmp_path / "names.safetensors", ldm_file.read_bytes()
    length = int.from_bytes(text[:8], "little")
    extra = {f"{name}{n}{'a' * 700}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(30_000)}
    header = json.dumps(json.loads(text[8 : 8 + length]) | extra).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + text[8 + length :])
    start = time.process_time()
    try:
        answer = str(detect(path).notes)
    except UnsupportedModel as error:
        answer = str(error)
    assert time.process_time() - start < 2
    assert len(answer) < 1000


CONV = "model.diffusion_model.input_blocks.4.0.in_layers.2.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop(CONV), "missing"),
        (
            lambda tensors: tensors.update({CONV: torch.zeros(64, 32, 1, 3)}),
            r"\[64, 32, 1, 3\] instead of \[64, 32, 3, 3\]",
        ),
        (lambda tensors: tensors.update({CONV: tensors[CONV].long()}), "dtype I64"),
    ],
    ids=["missing", "shape", "dtype"],
)
def test_weights_that_do_not_fit_are_named(
    change: Callable[[dict[str, torch.Tensor]], object], words: str, ldm_file: Path, tmp_path: Path
) -> None:
    path = _changed(ldm_file, tmp_path / "bad.safetensors", change)
    with pytest.raises(DamagedFile, match=words) as error:
        detect(path)
    assert CONV in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"in_channels": 8}, "InstructPix2Pix"),
        ({"in_channels": 6}, "6 input"),
        ({"channels": (48, 64, 64, 64)}, "multiple of 32"),
        ({"vae_channels": (48, 64)}, "VAE level 48"),
        ({"width": 96}, "multiple of 64"),
    ],
    ids=str,
)
def test_sizes_that_cannot_be_run(sizes: dict[str, object], words: str, tmp_path: Path) -> None:
    write_ldm(tmp_path / "model.safetensors", sd1_spec(**sizes, vocabulary=9))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedModel, match=words):
        detect(tmp_path / "model.safetensors")


OTHER_FILES = {
    "LoRA": ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "models/Lora"),
    "LoRA (PEFT)": ("unet.down_blocks.0.attentions.0.proj_in.lora_A.weight", "models/Lora"),
    "LoRA (LoHa)": ("x.hada_w1_a", "models/Lora"),
    "ControlNet": ("control_model.input_hint_block.0.weight", "models/ControlNet"),
    "ControlNet (diffusers)": ("controlnet_cond_embedding.conv_in.weight", "models/ControlNet"),
    "textual inversion": ("emb_params", "embeddings"),
    "upscaler": ("conv_first.weight", "ESRGAN"),
    "SDXL model of the EDM kind": ("edm_vpred.sigma_max", "1.x"),
    "scales of their own": ("scaled_fp8", "plain fp8"),
    "Stable Diffusion 3": ("model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.weight", "1.x"),
    "only a U-Net": ("model.diffusion_model.out.2.weight", "complete"),
    "EMA": ("model_ema.diffusion_modelout2weight", "complete"),
    "called 'weather'": ("weather", "another program"),
}


@pytest.mark.parametrize("what", OTHER_FILES)
def test_other_files_are_called_by_name(what: str, tmp_path: Path) -> None:
    key, remedy = OTHER_FILES[what]
    path = tmp_path / "file.safetensors"
    save_file({key: torch.zeros(2, 2)}, path)
    with pytest.raises(UnsupportedModel) as error:
        detect(path)
    assert what.partition(" (")[0] in error.value.message
    assert remedy in error.value.remedy
    assert str(path) in error.value.message


def test_file_without_tensors(tmp_path: Path) -> None:
    save_file({}, tmp_path / "none.safetensors")
    with pytest.raises(UnsupportedModel, match="no tensors"):
        detect(tmp_path / "none.safetensors")


def _ldm_vae(file: Path, prefix: str) -> dict[str, torch.Tensor]:
    start = "first_stage_model."
    return {prefix + name[len(start) :]: tensor for name, tensor in load_file(file).items() if name.startswith(start)}


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "vae."])
def test_separate_vae(prefix: str, ldm_file: Path, tiny: ModelSpec, tmp_path: Path) -> None:
    path = tmp_path / "vae.safetensors"
    tensors = _ldm_vae(ldm_file, prefix)
    save_file(tensors | {f"{prefix}loss.logvar": torch.zeros(1), "model_ema.decay": torch.zeros(1)}, path)
    assert detect_vae(path) == tiny.vae
    with open_source(path) as source, open_source(ldm_file) as whole:
        found, expected = dict(vae_weights(source, tiny.vae)), dict(vae_weights(whole, tiny.vae))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    with pytest.raises(UnsupportedModel, match="separate VAE") as error:
        detect(path)
    assert "models/VAE" in error.value.remedy


def test_separate_diffusers_vae_with_old_names(diffusers_folder: Path, tiny: ModelSpec, tmp_path: Path) -> None:
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(diffusers_folder / "vae" / "diffusion_pytorch_model.safetensors")
    for name in list(tensors):
        for new, old in names.items():
            if f"attentions.0.{new}." in name:
                tensors[name.replace(new, old)] = tensors.pop(name)
    save_file(tensors, tmp_path / "vae.safetensors")
    for path in (tmp_path / "vae.safetensors", diffusers_folder / "vae", diffusers_folder):
        assert detect_vae(path) == tiny.vae
        with open_source(path) as source:
            assert len(dict(vae_weights(source, tiny.vae))) == len(tensors)


def test_vae_of_another_family(tmp_path: Path, ldm_file: Path) -> None:
    tensors = _ldm_vae(ldm_file, "")
    tensors["decoder.conv_in.weight"] = torch.zeros(64, 16, 3, 3)
    save_file(tensors, tmp_path / "vae.safetensors")
    with pytest.raises(UnsupportedModel, match="16 latent channels"):
        detect_vae(tmp_path / "vae.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "none.safetensors")
    with pytest.raises(UnsupportedModel, match="holds no VAE"):
        detect_vae(tmp_path / "none.safetensors")


def test_facts_from_metadata(tiny: ModelSpec, tmp_path: Path) -> None:
    metadata = {
        "modelspec.prediction_type": "v",
        "modelspec.resolution": "128x128",
        "inkwash.heads": "4, 2,2,2",
        "inkwash.scale_factor": "0.5",
    }
    write_ldm(tmp_path / "model.safetensors", tiny, metadata=metadata)
    spec = detect(tmp_path / "model.safetensors")
    assert (spec.prediction, spec.native_size, spec.notes) == ("v", 128, ())
    assert (spec.unet.heads, spec.unet.mid_heads) == ((4, 2, 2, 2), 2)
    assert spec.vae == VAESpec(4, (32, 32, 64, 64), 2, 0.5)


@pytest.mark.parametrize("heads", ["0", "x", "8,", "-1", "8" * 100, "5", "8,8"])
def test_impossible_heads(heads: str, tiny: ModelSpec, tmp_path: Path) -> None:
    write_ldm(tmp_path / "model.safetensors", tiny, metadata={"inkwash.heads": heads})
    with pytest.raises((DamagedFile, UnsupportedModel), match="heads"):
        detect(tmp_path / "model.safetensors")


@pytest.mark.parametrize("factor", ["0", "-1", "nan", "inf", "one", ""])
def test_impossible_scale_factor(factor: str, tiny: ModelSpec, tmp_path: Path) -> None:
    write_ldm(tmp_path / "model.safetensors", tiny, metadata={"inkwash.scale_factor": factor})
    with pytest.raises(DamagedFile, match="scale factor"):
        detect(tmp_path / "model.safetensors")


def test_sidecar_yaml_states_the_prediction(ldm_file: Path, tmp_path: Path) -> None:
    path, sidecar = tmp_path / "model.safetensors", tmp_path / "model.yaml"
    shutil.copy(ldm_file, path)
    assert detect(path).prediction == "eps"
    assert any("assumed" in note for note in detect(path).notes)
    sidecar.write_text("model:\n  target: ldm.X\n  params:\n    parameterization: 'v'\n")
    assert (detect(path).prediction, detect(path).notes) == ("v", ())
    assert detect(path, prediction="eps").prediction == "eps"
    sidecar.write_text("model: {params: {parameterization: sideways}}")
    assert detect(path).prediction == "eps"
    assert "sideways" in detect(path).notes[0]


@pytest.mark.parametrize("text", ["model: [", "!!python/object/apply:os.system ['false']", "[" * 16_000, "a" * 20_000])
def test_damaged_sidecar_is_refused(text: str, ldm_file: Path, tmp_path: Path) -> None:
    shutil.copy(ldm_file, tmp_path / "model.safetensors")
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(DamagedFile, match=r"model\.yaml"):
        detect(tmp_path / "model.safetensors")


def test_contradiction_is_noted(ldm_file: Path, tiny: ModelSpec, tmp_path: Path) -> None:
    write_ldm(tmp_path / "model.safetensors", tiny, metadata=STATED)
    (tmp_path / "model.yaml").write_text("model: {params: {parameterization: v}}")
    spec = detect(tmp_path / "model.safetensors")
    assert spec.prediction == "eps"
    assert "yaml" in spec.notes[0]


ARCHITECTURE, PREDICTION = "modelspec.architecture", "modelspec.prediction_type"


@pytest.mark.parametrize(
    ("metadata", "in_channels", "expected", "unsure"),
    [
        ({}, 4, ("v", 768), True),
        ({}, 9, ("eps", 512), False),
        ({}, 5, ("eps", 512), False),
        ({ARCHITECTURE: "stable-diffusion-v2-512"}, 4, ("eps", 512), False),
        ({ARCHITECTURE: "stable-diffusion-v2-768-v"}, 4, ("v", 768), False),
        ({PREDICTION: "epsilon"}, 4, ("eps", 512), False),
    ],
)
def test_sd2_prediction_is_stated_or_doubted(
    metadata: dict[str, str], in_channels: int, expected: tuple[str, int], unsure: bool, tmp_path: Path
) -> None:
    write_ldm(tmp_path / "model.safetensors", sd2_spec(in_channels=in_channels, vocabulary=9), metadata=metadata)
    spec = detect(tmp_path / "model.safetensors")
    assert ((spec.prediction, spec.native_size), spec.unsure) == (expected, unsure)
    assert unsure is any("512 look the same" in note for note in spec.notes)


def test_markers_state_velocity_and_zero_terminal_snr(tmp_path: Path) -> None:
    """What files of the NoobAI kind carry: empty tensors called v_pred and ztsnr."""
    write_ldm(tmp_path / "plain.safetensors", sdxl_spec(vocabulary=9))
    path = _changed(
        tmp_path / "plain.safetensors",
        tmp_path / "model.safetensors",
        lambda tensors: tensors.update(v_pred=torch.empty(0), ztsnr=torch.empty(0)),
    )
    spec = detect(path)
    assert (spec.prediction, spec.noise, spec.notes) == ("v", NoiseSpec(zero_snr=True), ())


def test_noise_of_a_folder_and_of_a_yaml(tmp_path: Path) -> None:
    write_diffusers(tmp_path / "model", sd1_spec(vocabulary=9))
    config = tmp_path / "model" / "scheduler" / "scheduler_config.json"
    stated = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02, "rescale_betas_zero_snr": True}
    config.write_text(json.dumps(stated))
    assert detect(tmp_path / "model").noise == NoiseSpec("linear", 0.0001, 0.02, 1000, True)
    config.write_text(json.dumps({"beta_schedule": "squaredcos_cap_v2"}))
    with pytest.raises(UnsupportedModel, match="squaredcos_cap_v2"):
        detect(tmp_path / "model")
    write_ldm(tmp_path / "file.safetensors", sd1_spec(vocabulary=9))
    (tmp_path / "file.yaml").write_text("model: {params: {linear_start: 0.001, linear_end: 0.01, timesteps: 500}}")
    assert detect(tmp_path / "file.safetensors").noise == NoiseSpec(start=0.001, end=0.01, steps=500)


def test_the_depth_estimator_is_kept_apart(tmp_path: Path) -> None:
    write_ldm(tmp_path / "plain.safetensors", sd2_spec(in_channels=5, prediction="eps", vocabulary=9))
    name = "depth_model.model.pretrained.model.cls_token"
    path = _changed(
        tmp_path / "plain.safetensors", tmp_path / "model.safetensors", lambda t: t.update({name: torch.ones(1)})
    )
    spec = detect(path)
    assert spec.depth_model
    assert not detect(tmp_path / "plain.safetensors").depth_model
    report = check_keys(spec, read_header(path))
    assert (report.depth_model, report.unexpected) == ((name,), ())


@pytest.mark.parametrize(
    ("name", "metadata", "expected"),
    [
        ("sd_xl_turbo_1.0_fp16", {}, "Turbo"),
        ("dreamshaperXL-Lightning", {}, "Lightning"),
        ("model", {"modelspec.title": "My LCM mix"}, "LCM"),
        ("TurboVisionXL_v4", {}, "Turbo"),
        ("Hyper-SDXL-8steps", {}, "Hyper-SD"),
        ("hyper-realism", {}, ""),
        ("turbocharged", {}, ""),
        ("model", {}, ""),
    ],
)
def test_distilled_models_are_known_by_their_words(
    name: str, metadata: dict[str, str], expected: str, tmp_path: Path
) -> None:
    write_ldm(tmp_path / f"{name}.safetensors", sdxl_spec(vocabulary=9), metadata=metadata)
    assert detect(tmp_path / f"{name}.safetensors").few_steps == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda spec: replace(spec, unet=replace(spec.unet, added_width=100)), "100 numbers"),
        (lambda spec: replace(spec, unet=replace(spec.unet, context_width=64)), "64 wide"),
    ],
)
def test_mixtures_are_refused(change: Callable[[ModelSpec], ModelSpec], words: str, tmp_path: Path) -> None:
    write_ldm(tmp_path / "model.safetensors", change(sdxl_spec(vocabulary=9)))
    with pytest.raises(UnsupportedModel, match=words):
        detect(tmp_path / "model.safetensors")


@pytest.mark.parametrize("stated", [True, False, None])
def test_zeros_for_an_empty_prompt(stated: bool | None, tmp_path: Path) -> None:
    write_diffusers(tmp_path / "model", sdxl_spec(vocabulary=9))
    if stated is not None:
        index = {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": stated}
        (tmp_path / "model" / "model_index.json").write_text(json.dumps(index))
    assert detect(tmp_path / "model").zero_empty is (stated is not False)


X4_YAML = """
model:
  params:
    parameterization: "v"
    linear_start: 0.0001
    linear_end: 0.02
    timesteps: 1000
    scale_factor: 0.08333
    low_scale_config:
      params:
        noise_schedule_config:
          linear_start: 0.0002
          linear_end: 0.03
        max_noise_level: 200
"""


def test_the_x4_upscalers_second_schedule_is_read(tmp_path: Path) -> None:
    """From the .yaml that Stability's file comes with, or from diffusers' folder; else its own values."""
    told = write_ldm(tmp_path / "x4.safetensors", x4_spec(vocabulary=9))
    assert detect(tmp_path / "x4.safetensors") == told
    assert told.low_res == LowResSpec(NoiseSpec("scaled_linear", 0.0001, 0.02), 350)
    (tmp_path / "x4.yaml").write_text(X4_YAML)
    low_res = LowResSpec(NoiseSpec("scaled_linear", 0.0002, 0.03), 200)
    assert detect(tmp_path / "x4.safetensors") == replace(told, notes=(), low_res=low_res)
    (tmp_path / "x4.yaml").write_text(X4_YAML.replace("200", "1000"))
    with pytest.raises(UnsupportedModel, match="states 1000 as its highest noise level and knows 1000"):
        detect(tmp_path / "x4.safetensors")
    write_diffusers(tmp_path / "folder", x4_spec(vocabulary=9))
    (tmp_path / "folder" / "model_index.json").write_text('{"max_noise_level": 200}')
    config = {"beta_start": 0.0002, "beta_end": 0.03}
    (tmp_path / "folder" / "low_res_scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    assert detect(tmp_path / "folder").low_res == low_res


def test_a_noise_table_without_a_small_picture_is_another_model(tmp_path: Path) -> None:
    spec = x4_spec(vocabulary=9)
    write_ldm(tmp_path / "x4.safetensors", replace(spec, unet=replace(spec.unet, in_channels=4)))
    with pytest.raises(UnsupportedModel, match="a model with 4 input and 4 output channels"):
        detect(tmp_path / "x4.safetensors")

"""Depth out of pictures: MiDaS's network from each kind of file, and transformers' models, without torchvision."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.support.depth import dpt_reference, midas_state, theirs
from torch import Tensor

from inkwash.core.errors import DamagedFile, MissingLibrary, ModelNotFound, UnsupportedModel
from inkwash.imaging.depth import Midas, estimators, find_estimator, load_estimator, shown_size, spread
from inkwash.imaging.transformers_depth import is_metric
from inkwash.runtime.device import Compute, choose

PICTURE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8)).resize((96, 64))


@pytest.fixture(scope="module")
def compute() -> Compute:
    return choose("cpu", "bfloat16")  # depth is computed in float32 all the same


@pytest.fixture(scope="module")
def reference() -> Any:
    return dpt_reference()


@pytest.fixture
def expected(reference: Any) -> Tensor:
    """By transformers' network, from 0 to 255, of the picture's size."""
    shown = PICTURE.resize((576, 384), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(shown)).permute(2, 0, 1)[None] / 127.5 - 1
    depth = torch.nn.functional.interpolate(theirs(reference, pixels)[None], size=(64, 96), mode="bicubic")[0, 0]
    return (depth - depth.min()) / (depth.max() - depth.min()) * 255


@pytest.mark.parametrize("prefix", ["", "depth_model.model."])
def test_depth_by_midas_own_file_equals_transformers(
    prefix: str, reference: Any, expected: Tensor, compute: Compute, tmp_path: Path
) -> None:
    state = {prefix + name: tensor for name, tensor in midas_state(reference).items()}
    state[f"{prefix}pretrained.model.head.weight"] = torch.ones(2, 2)  # ImageNet's classifier, which is left there
    save_file(state, tmp_path / "midas.safetensors")
    estimator = load_estimator(tmp_path / "midas.safetensors", compute)
    assert isinstance(estimator, Midas)
    check(estimator(PICTURE), expected)


def test_depth_by_a_folder_of_dpt_hybrid_equals_transformers(
    reference: Any, expected: Tensor, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As diffusers' SD 2 depth pipelines carry it; our network reads it, transformers is not needed."""
    reference.save_pretrained(tmp_path / "depth_estimator")
    monkeypatch.setitem(sys.modules, "transformers", None)
    check(load_estimator(tmp_path / "depth_estimator", compute)(PICTURE), expected)


def check(found: Image.Image, expected: Tensor) -> None:
    assert (found.mode, found.size) == ("F", PICTURE.size)
    assert found.getextrema() == (0, 255)
    assert float((torch.from_numpy(np.array(found)) - expected).abs().max()) < 0.05  # of 255


def test_what_is_shown_keeps_its_proportions() -> None:
    assert shown_size((512, 512)) == (384, 384)
    assert shown_size((512, 768)) == (384, 576)
    assert shown_size((64, 48)) == (512, 384)
    assert shown_size((4000, 100)) == (1536, 32)


def test_a_flat_map_is_black() -> None:
    assert spread(torch.ones(4, 4), (8, 8)).getextrema() == (0, 0)


def test_broken_depth_models_are_told(reference: Any, compute: Compute, tmp_path: Path) -> None:
    state, path = midas_state(reference), tmp_path / "midas.safetensors"
    name = "scratch.refinenet2.out_conv.bias"
    save_file({key: tensor for key, tensor in state.items() if key != name}, path)
    with pytest.raises(DamagedFile, match=f"{name} is missing"):
        load_estimator(path, compute)
    save_file(state | {name: torch.ones(3)}, path)
    with pytest.raises(DamagedFile, match=r"has the shape \[3\] instead of \[32\]"):
        load_estimator(path, compute)
    save_file({key: tensor for key, tensor in state.items() if "stages.1" not in key}, path)
    with pytest.raises(DamagedFile, match="not whole"):
        load_estimator(path, compute)
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(UnsupportedModel, match="no depth model of the kind DPT-hybrid"):
        load_estimator(path, compute)
    reference.save_pretrained(tmp_path / "folder")
    file = tmp_path / "folder" / "model.safetensors"
    save_file({key: tensor for key, tensor in load_file(file).items() if "layer.2.attention" not in key}, file)
    with pytest.raises(DamagedFile, match=r"blocks\.2\.attn\.qkv\.weight is missing"):
        load_estimator(tmp_path / "folder", compute)


def test_depth_models_are_found_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="Put dpt_hybrid-midas"):
        find_estimator(tmp_path)
    folder = tmp_path / "models" / "depth"
    (folder / "anything-small").mkdir(parents=True)
    (folder / "anything-small" / "config.json").write_text("{}")
    (folder / "midas.safetensors").touch()
    (folder / "notes.txt").touch()
    assert [path.name for path in estimators(tmp_path)] == ["anything-small", "midas.safetensors"]
    assert find_estimator(tmp_path) == folder / "anything-small"
    assert find_estimator(tmp_path, "midas") == find_estimator(tmp_path, "midas.safetensors") == estimators(tmp_path)[1]
    with pytest.raises(ModelNotFound, match=r"called 'midsa'.*\n.*midas"):
        find_estimator(tmp_path, "midsa")


@pytest.fixture(scope="module")
def anything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Depth Anything with random weights, in a folder as people download it."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessorPil

    kinds: Any = Dinov2Config
    backbone = kinds(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14, mlp_ratio=2,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, patch_size=14, neck_hidden_sizes=[16, 24, 32, 40],
        fusion_hidden_size=16, head_hidden_size=8,
    )  # fmt: skip
    torch.manual_seed(0)
    network: Any = DepthAnythingForDepthEstimation(config)
    network.head.conv3.bias.data.fill_(1.0)
    folder = tmp_path_factory.mktemp("depth") / "anything"
    network.save_pretrained(folder)
    processor: Any = DPTImageProcessorPil(
        size={"height": 56, "width": 56}, ensure_multiple_of=14, keep_aspect_ratio=True
    )
    processor.save_pretrained(folder)
    return folder


def test_depth_by_transformers(anything: Path, compute: Compute) -> None:
    """Depth Anything, against a call of its own classes; torchvision is not installed here."""
    from transformers import DepthAnythingForDepthEstimation, DPTImageProcessorPil

    pixels: Any = DPTImageProcessorPil.from_pretrained(anything)(images=PICTURE, return_tensors="pt")
    network: Any = DepthAnythingForDepthEstimation.from_pretrained(anything)
    with torch.no_grad():
        depth = network(**pixels).predicted_depth
    depth = torch.nn.functional.interpolate(depth[None], size=(64, 96), mode="bicubic")[0, 0]
    check(load_estimator(anything, compute)(PICTURE), (depth - depth.min()) / (depth.max() - depth.min()) * 255)


def test_near_is_bright_of_models_that_tell_metres(anything: Path, compute: Compute) -> None:
    from transformers import DepthAnythingConfig, GLPNConfig

    config = json.loads((anything / "config.json").read_text())
    metric: Any = DepthAnythingConfig
    assert not is_metric(metric(**config))
    assert is_metric(metric(**config | {"depth_estimation_type": "metric"}))
    assert is_metric(GLPNConfig())


def test_what_transformers_lacks_is_told(
    anything: Path, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "depth_anything"}')
    save_file({"a": torch.ones(1)}, broken / "model.safetensors")
    with pytest.raises(UnsupportedModel, match=r"cannot be read as a depth model"):
        load_estimator(broken, compute)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingLibrary, match=r"inkwash\[depth\]"):
        load_estimator(anything, compute)

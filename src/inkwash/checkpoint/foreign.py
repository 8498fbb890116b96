"""What a file is when it is no checkpoint that can be drawn with, and where such a file belongs."""

from __future__ import annotations

import re
from itertools import islice

from inkwash.checkpoint.header import Header
from inkwash.checkpoint.match import vae_layout
from inkwash.checkpoint.places import FileKind
from inkwash.core.errors import UnsupportedModel

LONGEST_NAME, MOST_NAMES = 128, 10_000  # enough for any real file; more could be made to take minutes

_NOT_YET = "Use a checkpoint of Stable Diffusion 1.x, 2.x or XL."

# (sign among the names of tensors, what the file is, what to do); the first that fits counts
_SIGNS = [
    (
        r"lora_(unet|te\d?)_|\.lora_(up|down|A|B)\.|\.(hada_w1|lokr_w1|oft_blocks|oft_diag)|\.lora\.(up|down)\.|\.dora_scale$",
        "a LoRA",
        "Put it in models/Lora; it is added to a checkpoint, not used instead of one.",
    ),
    (
        r"^(control_model|controlnet_cond_embedding|input_hint_block|zero_convs|controlnet_down_blocks|lllite_\w+)\.",
        "a ControlNet",
        "Put it in models/ControlNet and choose a checkpoint to go with it.",
    ),
    (
        r"^(image_proj|ip_adapter)\.",
        "an IP-Adapter",
        "Put it in models/ControlNet and choose a checkpoint to go with it.",
    ),
    (r"^(adapter\.)?body\.\d+\.(resnets|block1|block2|in_conv)", "a T2I-Adapter", "Put it in models/ControlNet."),
    (r"motion_modules\.", "an AnimateDiff motion module", "Choose a checkpoint; this version does not draw films."),
    (
        r"^(emb_params|string_to_param.*|string_to_token.*|clip_[lg]|<[^>\n]+>)$",
        "a textual inversion embedding",
        "Put it in the embeddings folder and write its name in the prompt.",
    ),
    (r"^(conv_first|model\.0|body\.0\.rdb1\.conv1)\.(weight|bias)$", "an upscaler", "Put it in models/ESRGAN."),
    (r"(^|\.)joint_blocks\.", "a Stable Diffusion 3 model", _NOT_YET),
    (r"(^|\.)(double_blocks|single_transformer_blocks)\.", "a Flux model", _NOT_YET),
    (r"^(edm_mean|edm_std|edm_vpred\.sigma_max)$", "an SDXL model of the EDM kind (Playground 2.5, CosXL)", _NOT_YET),
    (
        r"^scaled_fp8$|\.scale_weight$",
        "a model whose 8-bit weights have scales of their own",
        "Use its float16 version, or one in plain fp8.",
    ),
]
# The folder a file of each kind belongs into; what is not here has none.
_KINDS: dict[str, FileKind] = {
    "a LoRA": "lora",
    "a ControlNet": "controlnet",
    "an IP-Adapter": "controlnet",
    "a T2I-Adapter": "controlnet",
    "a textual inversion embedding": "embedding",
    "an upscaler": "upscaler",
}
_UNET = r"^(model\.diffusion_model|unet)\.|^(input_blocks|down_blocks)\.0\."
_TEXT = (
    r"^(cond_stage_model|conditioner\.embedders\.\d|text_encoder(_2)?)\."
    r"|^(text_model\.)?(embeddings|encoder\.layers)\."
)


def other_kind(header: Header) -> FileKind | None:
    """What a file is that is no checkpoint, if there is a folder for such files."""
    noun = next((kind for sign, kind, _ in _SIGNS if _any(sign, header)), None)
    if noun is not None:
        return _KINDS.get(noun)
    alone = vae_layout(header)[1] and not _any(_UNET, header) and not _any(_TEXT, header)
    return "vae" if alone else None


def refuse_foreign(header: Header) -> None:
    """Raises UnsupportedModel, saying what the file is, unless it holds a U-Net, a VAE and a CLIP text encoder."""
    if not header.tensors:
        raise UnsupportedModel(f"{header.path} holds no tensors at all.", "Download it again, or choose another file.")
    for sign, kind, remedy in _SIGNS:
        if _any(sign, header):
            raise UnsupportedModel(f"{header.path} is {kind}, not a Stable Diffusion checkpoint.", remedy)
    parts = {"a U-Net": _any(_UNET, header), "a VAE": vae_layout(header)[1], "a text encoder": _any(_TEXT, header)}
    if not all(parts.values()):
        raise _incomplete(header, [part for part, there in parts.items() if there])


def other_family(header: Header, kind: str) -> UnsupportedModel:
    """The error for a model of a kind that only its sizes betray."""
    return UnsupportedModel(f"{header.path} is {kind}, not a Stable Diffusion checkpoint.", _NOT_YET)


def _any(sign: str, header: Header) -> bool:
    search = re.compile(sign, re.MULTILINE).search  # ^ and $ are the ends of each name
    names = "\n".join(name[:LONGEST_NAME] for name in islice(header.tensors, MOST_NAMES))
    return search(names) is not None


def _incomplete(header: Header, present: list[str]) -> UnsupportedModel:
    if present == ["a VAE"]:
        message, remedy = (
            "is a separate VAE, not a checkpoint.",
            "Put it in models/VAE and choose it beside a checkpoint.",
        )
    elif present:
        message = f"holds only {' and '.join(present)}; a checkpoint has a U-Net, a VAE and a text encoder."
        remedy = "Use the complete checkpoint."
    elif any(name.startswith("model_ema.") for name in header.tensors):
        message, remedy = "holds only EMA weights.", "Use the complete checkpoint."
    else:
        names = ", ".join(repr(name)[:60] for name in list(header.tensors)[:3])
        message = f"is no Stable Diffusion checkpoint: its tensors are called {names}, ..."
        remedy = "Choose a checkpoint; this may be a file of another program."
    return UnsupportedModel(f"{header.path} {message}", remedy)

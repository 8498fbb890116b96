"""What there is to choose from, in A1111's shapes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from inkwash.core.choices import LATENT_UPSCALERS, SAMPLERS, SCHEDULES
from inkwash.server.a1111 import scripts, tiles
from inkwash.server.a1111.translate import ALWAYS_ON, alias
from inkwash.server.context import Here, Who
from inkwash.server.models import described

router = APIRouter(tags=["A1111"])
API = "/sdapi/v1"
SECOND_ORDER = ("Heun", "DPM2", "DPM2 a", "DPM++ SDE", "DPM++ 2S a", "Restart")
RHO = {"Karras": 7.0, "Polyexponential": 1.0}


@router.get(f"{API}/samplers")
def samplers() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "aliases": [alias(name), f"k_{alias(name)}"],
            "options": {"second_order": "True"} if name in SECOND_ORDER else {},
        }
        for name in SAMPLERS
    ]


@router.get(f"{API}/schedulers")
def schedulers() -> list[dict[str, Any]]:
    return [
        {
            "name": label.casefold().replace(" ", "_"),
            "label": label,
            "aliases": None,
            "default_rho": RHO.get(label, -1.0),
            "need_inner_model": label not in ("Automatic", "Karras", "Exponential", "Polyexponential"),
        }
        for label in SCHEDULES
    ]


@router.get(f"{API}/sd-models")
def sd_models(context: Here) -> list[dict[str, Any]]:
    """Those that can be drawn with.  filename: below the models' folder, for paths are nobody's business."""
    return [
        {
            "title": one.entry.title,
            "model_name": one.entry.name,
            "hash": one.hash,
            "sha256": one.entry.sha256,
            "filename": one.entry.relative,
            "config": None,
        }
        for one in described(context)
        if one.spec is not None
    ]


@router.get(f"{API}/sd-vae")
def sd_vae(context: Here) -> list[dict[str, Any]]:
    return [{"model_name": entry.path.name, "filename": entry.relative} for entry in context.catalog.entries("vae")]


@router.get(f"{API}/prompt-styles")
def prompt_styles(context: Here) -> list[dict[str, str]]:
    return [
        {"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative_prompt}
        for style in context.styles().values()
    ]


@router.get(f"{API}/upscalers")
def upscalers(context: Here) -> list[dict[str, Any]]:
    """Those that enlarge pictures; "None" is A1111's word for leaving it to Lanczos.

    scale: A1111's default, for what a network really does is known only once it is read; any size can be asked for.
    """
    empty = {"model_name": None, "model_path": None, "model_url": None, "scale": 4}
    return [{"name": name} | empty for name in tiles.upscalers(context.catalog)]


@router.get(f"{API}/realesrgan-models")
def realesrgan_models(context: Here) -> list[dict[str, Any]]:
    """Of the upscalers those whose files bear that name.  path: below their folder."""
    found = [entry for entry in context.catalog.entries("upscaler") if "realesr" in entry.name.casefold()]
    return [{"name": entry.name, "path": entry.relative, "scale": 4} for entry in found]


@router.get(f"{API}/face-restorers")
def face_restorers(context: Here) -> list[dict[str, Any]]:
    """By the names of their files; "GFPGAN" and "CodeFormer" mean the newest of each."""
    return [{"name": entry.name, "cmd_dir": None} for entry in context.catalog.entries("face restorer")]


@router.get(f"{API}/latent-upscale-modes")
def latent_upscale_modes() -> list[dict[str, str]]:
    return [{"name": name} for name in LATENT_UPSCALERS]


@router.get(f"{API}/embeddings")
def embeddings() -> dict[str, Any]:
    return {"loaded": {}, "skipped": {}}


@router.get(f"{API}/hypernetworks")
@router.get(f"{API}/extensions")
@router.get(f"{API}/loras")
def none_yet() -> list[dict[str, Any]]:
    """Kinds of things of which this version has none."""
    return []


@router.get(f"{API}/scripts")
def list_scripts() -> dict[str, list[str]]:
    return {tab: [*scripts.names(tab), *ALWAYS_ON[tab == "img2img"]] for tab in ("txt2img", "img2img")}


@router.get(f"{API}/script-info")
def script_info(context: Here) -> list[dict[str, Any]]:
    return scripts.info(tiles.upscalers(context.catalog))


@router.get(f"{API}/memory")
def memory(context: Here) -> dict[str, Any]:
    now = context.service.system()
    total, free = now.memory_total, now.memory_free
    gpu_total, gpu_free = now.worker.gpu_total, now.worker.gpu_free
    if gpu_total is None or gpu_free is None:
        cuda: dict[str, Any] = {"error": "unavailable"}
    else:
        cuda = {"system": {"free": gpu_free, "used": gpu_total - gpu_free, "total": gpu_total}}
    return {"ram": {"free": free, "used": total - free, "total": total}, "cuda": cuda}


@router.post(f"{API}/refresh-embeddings")
@router.post(f"{API}/refresh-checkpoints")
@router.post(f"{API}/refresh-vae")
@router.post(f"{API}/refresh-loras")
def refresh() -> None:
    """Nothing is to be done: folders are read anew whenever they are listed."""


@router.post(f"{API}/reload-checkpoint")
def reload_checkpoint(context: Here, caller: Who) -> dict[str, Any]:
    """Have the worker load the account's model, so that the next picture starts sooner."""
    chosen = context.options.of(caller.user)["sd_model_checkpoint"]
    context.service.load(context.catalog.find(chosen).relative)
    return {}


@router.post(f"{API}/unload-checkpoint")
def unload_checkpoint(context: Here) -> dict[str, Any]:
    """Make room: the worker lets go of its models as soon as nothing is drawn."""
    context.service.unload()
    return {}


@router.get("/controlnet/version")
def controlnet_version() -> dict[str, int]:
    return {"version": 3}


@router.get("/controlnet/model_list")
def controlnet_models(update: bool = True) -> dict[str, list[str]]:
    return {"model_list": []}


@router.get("/controlnet/module_list")
def controlnet_modules(alias_names: bool = False) -> dict[str, Any]:
    return {"module_list": ["none"], "module_detail": {}}


@router.get("/controlnet/control_types")
def controlnet_types() -> dict[str, Any]:
    everything = {"module_list": ["none"], "model_list": ["None"], "default_option": "none", "default_model": "None"}
    return {"control_types": {"All": everything}}


@router.get("/controlnet/settings")
def controlnet_settings() -> dict[str, int]:
    return {"control_net_unit_count": 3}

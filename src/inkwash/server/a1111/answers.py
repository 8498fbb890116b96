"""What was drawn as A1111 answers it: pictures in base64 and ``info``, a JSON *string*."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

from inkwash import __version__
from inkwash.core import files, images, infotext
from inkwash.core.infotext import Infotext
from inkwash.core.wire import from_json
from inkwash.jobs.protocol import Job
from inkwash.server.a1111.schema import Img2Img, Txt2Img
from inkwash.server.a1111.series import Outcome
from inkwash.server.context import Context


def answer(context: Context, body: Txt2Img | Img2Img, job: Job, outcome: Outcome) -> dict[str, Any]:
    """job: the call's first."""
    tab = "img2img" if isinstance(body, Img2Img) else "txt2img"
    sheets, saved = list(outcome.sheets), body.save_images and not body.do_not_save_grid
    if saved and not sheets and len(outcome.pieces) > 1:
        sheets = [images.grid([piece.image() for piece in outcome.pieces])]
    text = str(outcome.pieces[0].item.facts.get("infotext", "")) if outcome.pieces else ""
    data = [images.encode(sheet, text) for sheet in sheets]
    if saved:
        for number, sheet in enumerate(data):
            _keep(context, job, tab, number, sheet)
    if outcome.shown:
        data += [piece.path.read_bytes() for piece in outcome.pieces]
    return {
        "images": [base64.b64encode(one).decode() for one in data] if body.send_images else [],
        "parameters": _parameters(body),
        "info": json.dumps(_info(job, outcome, first=len(sheets)), ensure_ascii=False),
    }


def _parameters(body: Txt2Img | Img2Img) -> dict[str, Any]:
    """What was asked for; pictures only go back where that is asked for too."""
    told = body.model_dump()
    hidden = isinstance(body, Img2Img) and not body.include_init_images
    return told | (dict.fromkeys(("init_images", "mask", "latent_mask")) if hidden else {})


def _keep(context: Context, job: Job, tab: str, number: int, sheet: bytes) -> None:
    """A sheet beside the pictures, in txt2img-grids or img2img-grids as A1111 does."""
    folder = context.settings.outputs_dir / f"{tab}-grids" / f"{datetime.fromtimestamp(job.created):%Y-%m-%d}"
    files.write(folder / f"grid-{job.id}{f'-{number}' if number else ''}.png", sheet)


def _info(job: Job, outcome: Outcome, first: int) -> dict[str, Any]:
    """first: index of the first picture behind the sheets."""
    request, pictures = from_json(job.request), [piece.item for piece in outcome.pieces]
    texts = [str(item.facts.get("infotext", "")) for item in pictures]
    parsed = [infotext.parse(text) for text in texts]
    seeds = [item.facts.get("seed", request.seed) for item in pictures] or [request.seed]
    subseeds = [item.facts.get("subseed", request.subseed) for item in pictures] or [request.subseed]
    one = parsed[0] if parsed else Infotext()
    return {
        "prompt": one.get("Prompt", request.prompt),
        "all_prompts": [text.prompt for text in parsed],
        "negative_prompt": one.get("Negative prompt", request.negative_prompt),
        "all_negative_prompts": [text.negative_prompt for text in parsed],
        "seed": seeds[0],
        "all_seeds": seeds,
        "subseed": subseeds[0],
        "all_subseeds": subseeds,
        "subseed_strength": request.subseed_strength,
        "width": request.width,
        "height": request.height,
        "sampler_name": request.sampler,
        "cfg_scale": request.cfg_scale,
        "steps": request.steps,
        "batch_size": request.batch_size,
        "restore_faces": request.restore_faces is not None,
        "face_restoration_model": request.restore_faces,
        "sd_model_name": one.get("Model"),
        "sd_model_hash": one.get("Model hash"),
        "sd_vae_name": one.get("VAE"),
        "sd_vae_hash": one.get("VAE hash"),
        "seed_resize_from_w": request.seed_resize_from_w or -1,
        "seed_resize_from_h": request.seed_resize_from_h or -1,
        "denoising_strength": one.get("Denoising strength"),
        "extra_generation_params": {"Schedule type": request.schedule},
        "index_of_first_image": first,
        "infotexts": texts[:1] * first + (texts if outcome.shown else []),
        "styles": list(request.styles),
        "job_timestamp": f"{datetime.fromtimestamp(job.created):%Y%m%d%H%M%S}",
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": False,
        "interrupted": any(piece.ended_early for piece in outcome.pieces),
        "version": f"Inkwash {__version__}",
        "job": job.id,
    }

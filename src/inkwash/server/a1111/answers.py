"""A finished job as A1111 answers txt2img: pictures in base64 and ``info``, a JSON *string*."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from inkwash import __version__
from inkwash.core import files, images, infotext
from inkwash.core.infotext import Infotext
from inkwash.core.wire import from_json
from inkwash.jobs.protocol import Item, Job
from inkwash.server.a1111.schema import Img2Img, Txt2Img
from inkwash.server.context import Context
from inkwash.server.errors import Refusal


def answer(context: Context, body: Txt2Img | Img2Img, job: Job) -> dict[str, Any]:
    """Raises Refusal if the job failed.  A cancelled one answers with the pictures it has, as A1111 does."""
    if job.state == "failed":
        raise failed(job)
    pictures = [item for item in job.items if item.media.startswith("image/")]
    data = [context.check_file(Path(item.path)).read_bytes() for item in pictures] if body.send_images else []
    with_grid = body.save_images and not body.do_not_save_grid and len(pictures) > 1
    if with_grid:
        sheet = _grid(context, job, pictures)
        data = [sheet, *data] if body.send_images else []
    return {
        "images": [base64.b64encode(one).decode() for one in data],
        "parameters": _parameters(body),
        "info": json.dumps(_info(job, pictures, first=int(with_grid)), ensure_ascii=False),
    }


def _parameters(body: Txt2Img | Img2Img) -> dict[str, Any]:
    """What was asked for; pictures only go back where that is asked for too."""
    told = body.model_dump()
    hidden = isinstance(body, Img2Img) and not body.include_init_images
    return told | (dict.fromkeys(("init_images", "mask")) if hidden else {})


def failed(job: Job) -> Refusal:
    """A job that ended with an error: the request's own fault unless every attempt was used up."""
    from inkwash.jobs.protocol import ATTEMPTS

    status = 500 if job.attempts >= ATTEMPTS else 422
    return Refusal(status, "job_failed", job.error or "The job failed.", job.remedy or "")


def _grid(context: Context, job: Job, pictures: Sequence[Item]) -> bytes:
    """All pictures side by side, kept beside them in txt2img-grids as A1111 does."""
    opened = [Image.open(context.check_file(Path(item.path))) for item in pictures]
    sheet = images.encode(images.grid(opened), str(pictures[0].facts.get("infotext", "")))
    day = datetime.fromtimestamp(job.finished or job.created)
    files.write(context.settings.outputs_dir / "txt2img-grids" / f"{day:%Y-%m-%d}" / f"grid-{job.id}.png", sheet)
    return sheet


def _info(job: Job, pictures: Sequence[Item], first: int) -> dict[str, Any]:
    """first: index of the first picture behind the grid."""
    request = from_json(job.request)
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
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": one.get("Model"),
        "sd_model_hash": one.get("Model hash"),
        "sd_vae_name": one.get("VAE"),
        "sd_vae_hash": one.get("VAE hash"),
        "seed_resize_from_w": request.seed_resize_from_w or -1,
        "seed_resize_from_h": request.seed_resize_from_h or -1,
        "denoising_strength": one.get("Denoising strength"),
        "extra_generation_params": {"Schedule type": request.schedule},
        "index_of_first_image": first,
        "infotexts": texts[:1] * first + texts,
        "styles": list(request.styles),
        "job_timestamp": f"{datetime.fromtimestamp(job.created):%Y%m%d%H%M%S}",
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": f"Inkwash {__version__}",
        "job": job.id,
    }

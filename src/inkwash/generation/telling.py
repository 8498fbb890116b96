"""What is said about a job: the text in its pictures, its first event, what the person should know."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from inkwash import __version__
from inkwash.checkpoint import Catalog, Entry, short_hash
from inkwash.core import infotext
from inkwash.core.progress import Started
from inkwash.core.request import GenerateRequest, HiresPass
from inkwash.generation.cautions import cautions
from inkwash.generation.job import Job, Picture
from inkwash.generation.wording import Wording
from inkwash.prompt import advise, load_tokenizer

ADVISED = 10_000
"""Characters of a prompt that advice is given on; reading more closely what no person typed would cost a second."""


@dataclass(frozen=True)
class Origin:
    """Names and short hashes of the files a job draws with, as A1111 writes them; None: the model file's own VAE."""

    model_name: str
    model_hash: str | None = None
    vae_name: str | None = None
    vae_hash: str | None = None
    hires_name: str | None = None  # with its hash, as A1111's titles have it
    refiner_name: str | None = None


def origin_of(catalog: Catalog, request: GenerateRequest) -> Origin:
    """Of the files that a request names."""
    entry = catalog.with_hash(catalog.find(request.model))
    vae = catalog.vae_of(entry, request.vae)
    vae = catalog.with_hash(vae) if vae else None
    return Origin(
        entry.name,
        _short(entry),
        vae.path.name if vae else None,
        _short(vae) if vae else None,
        hires_name=_titled(catalog, request.hires.model if request.hires else None),
        refiner_name=_titled(catalog, request.refiner),
    )


def _titled(catalog: Catalog, name: str | None) -> str | None:
    """A1111's way to name a second model: "name [hash]"."""
    if not name:
        return None
    entry = catalog.with_hash(catalog.find(name))
    return f"{entry.name} [{_short(entry)}]" if entry.sha256 else entry.name


def _short(entry: Entry) -> str | None:
    return short_hash(entry.sha256) if entry.sha256 else None


def infotext_of(job: Job, picture: Picture, origin: Origin) -> str:
    """The text that draws this one picture again."""
    wording = picture.wording
    alone = dataclasses.replace(
        job.request,
        prompt=wording.full_prompt,
        negative_prompt=wording.full_negative_prompt,
        styles=(),
        hires=_hires_told(job, picture.hires_wording, origin),
        **_tiles_told(job, picture),
        refiner=origin.refiner_name or job.request.refiner,
    )
    return infotext.write(
        alone,
        seed=picture.seed,
        subseed=picture.subseed,
        model_name=origin.model_name,
        model_hash=origin.model_hash,
        vae_name=origin.vae_name,
        vae_hash=origin.vae_hash,
        version=f"Inkwash {__version__}",
    )


def _tiles_told(job: Job, picture: Picture) -> dict[str, Any]:
    """Regions as they were drawn, and the upscaler by its own name."""
    tiled, upscale, used = job.request.tiled, job.request.sd_upscale, job.source_upscaler
    if tiled is not None:
        name = used.name if used and tiled.upscaler and upscale is None else tiled.upscaler
        tiled = dataclasses.replace(tiled, regions=picture.regions, upscaler=name)
    if upscale is not None and used is not None:
        upscale = dataclasses.replace(upscale, upscaler=used.name)
    return {"tiled": tiled, "sd_upscale": upscale}


def _hires_told(job: Job, wording: Wording | None, origin: Origin) -> HiresPass | None:
    hires = job.request.hires
    if hires is None or job.enlarging is None:
        return None
    prompt, negative = (wording.full_prompt, wording.full_negative_prompt) if wording else ("", "")
    used = job.enlarging.upscaler
    return dataclasses.replace(
        hires,
        model=origin.hires_name or hires.model,
        prompt=prompt,
        negative_prompt=negative,
        upscaler=used if isinstance(used, str) else used.name,
    )


def warnings_of(job: Job) -> list[str]:
    """What the person should know though nothing is wrong: prompt advice, tags that did nothing."""
    wording, tokenizer, note = job.pictures[0].wording, load_tokenizer(), job.model.spec.note
    said = [f"{job.model.spec.name}: {note}"] if note else []
    said += cautions(job.model.spec, job.request)
    for prefix, text in (("", wording.full_prompt), ("Negative prompt: ", wording.full_negative_prompt)):
        said += [f"{prefix}{advice.where}: {advice.message}" for advice in advise(text[:ADVISED], tokenizer)]
    left_out = [f"<{network.kind}:{network.name}>" for network in wording.networks]
    return said + [f"{tag} was left out: this version has no adapters yet." for tag in left_out]


def started(job: Job) -> Started:
    """The event that opens a job."""
    return Started(len(job.pictures), sum(job.steps), tuple(job.sigmas))

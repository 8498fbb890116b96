"""The flags that several commands share, in the order and under the titles of --help."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inkwash.cli.flags import of, own, panel
from inkwash.core.choices import (
    DTYPES,
    PICTURE_FORMATS,
    QUALITY,
    SAMPLERS,
    SCHEDULES,
    TILE_METHODS,
    UPSCALERS,
)
from inkwash.core.settings import POLICIES

MODEL = "Model"


def listed(names: Sequence[str], more: str = "") -> str:
    """Names to choose from, as help."""
    return f"{', '.join(names)}{more}."


ENGINE = panel(
    MODEL,
    own("models_dir", Path | None, None, "The folder that holds models/ and embeddings/."),
    own("device", str | None, None, "cpu, cuda, cuda:1 or mps."),
    own("dtype", str | None, None, listed(DTYPES)),
    own("memory_policy", str | None, None, f"Weights in memory: {listed(POLICIES)}"),
    own("memory_limit", float | None, None, "GB that the program may take."),
)
OUTPUT = panel(
    "Output",
    own("out", Path | None, None, "A folder, or a file ending in .png, .jpg or .webp.", "--out", "-o"),
    own("pattern", str | None, None, "File names, as [number]-[seed]-[prompt_words]."),
    own("format", str | None, None, listed(PICTURE_FORMATS)),
    own("quality", int, QUALITY, "1 to 100, for JPEG and WebP; WebP at 100 is lossless."),
    own("save_steps", bool, False, "Each step's picture and a plot of the noise schedule.", "--save-steps"),
    own("as_json", bool, False, "One JSON object: files, seeds, infotexts, seconds.", "--json"),
)
FACES = panel("Picture", "restore_faces", "codeformer_weight")
DRAWING = (
    *panel(
        "Picture",
        of("negative_prompt", "--negative", "-n"),
        "width", "height", "batch_size", "batch_count",
        of("styles", "--style", kind=list[str], default=None, help="A style of styles.csv; may be repeated."),
        "tiling",
    ),
    *FACES,
    *panel(MODEL, of("model", "--model", "-m"), "vae", "prediction", "ema", "clip_skip", "emphasis"),
    *ENGINE,
    *panel(
        MODEL,
        of("strict", "--strict/--fast"),
        of("vae_tiles.decoder_tile", "--vae-tile", default=None, help="VAE tiles of so many latent pixels a side."),
        of("vae_tiles.fast", "--vae-fast/--vae-exact"),
    ),
    *panel(
        "Seeds and noise",
        of("seed", "--seed", "-s"),
        "subseed", "subseed_strength", "seed_resize_from_w", "seed_resize_from_h", "noise_source", "ensd",
    ),
    *panel(
        "Sampling",
        "steps",
        of("sampler", help=listed(SAMPLERS)),
        of("schedule", help=listed(SCHEDULES)),
        of("sigmas", help='Noise levels of your own: "14.6 7 3 1 0".'),
        "sigma_min", "sigma_max", "rho",
        of("discard_penultimate_sigma", "--discard-penultimate-sigma/--keep-penultimate-sigma"),
        "eta", "s_churn", "s_tmin", "s_tmax", "s_noise",
    ),
    *panel(
        "Guidance",
        of("cfg_scale", "--cfg"),
        "cfg_rescale", "guidance_start", "guidance_end", "ngms", "ngms_all_steps", "skip_early_cfg",
    ),
    *panel(
        "Second pass",
        of("hires.enabled", "--hires", help="Draw on at twice the size (hires fix), or as the flags below say."),
        of("hires.scale", default=None, help="Times the first size; 2 unless a size is given."),
        "hires.width",
        of("hires.height", help="Likewise, height."),
        of("hires.upscaler", help=listed(UPSCALERS, ", or a file")),
        of("hires.denoising_strength", "--hires-strength"),
        "hires.steps",
        of("hires.sampler", help="Default: the first pass's."),
        of("hires.schedule", help="Likewise."),
        of("hires.prompt", help="Likewise."),
        of("hires.negative_prompt", "--hires-negative", help="Likewise."),
        of("hires.model", help="Likewise."),
        "refiner",
        of("refiner_switch_at", help="... after this fraction of the steps."),
    ),
    *panel(
        "Tiles",
        of("tiled.enabled", "--tiled"),
        of("tiled.method", "--tile-method", help=listed(TILE_METHODS)),
        of("tiled.tile_width", "--tile-width"),
        of("tiled.tile_height", "--tile-height", help="Likewise."),
        of("tiled.overlap", "--tile-overlap"),
        of("tiled.tile_batch", "--tile-batch"),
        of(
            "tiled.regions", "--region", kind=list[str], default=None,
            help='Its own prompt for a part: "0 0.5 1 0.5: a lake", or JSON; may be repeated.',
        ),
        of("tiled.draw_background", "--background/--no-background"),
        "keep_structure",
    ),
    *OUTPUT,
)  # fmt: skip

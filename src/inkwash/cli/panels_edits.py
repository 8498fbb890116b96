"""The flags of commands that start from a picture; those of all drawing are in ``cli.panels``."""

from __future__ import annotations

from dataclasses import replace

from inkwash.cli.flags import of, own, panel
from inkwash.cli.panels import listed
from inkwash.core.choices import INPAINTING_FILLS, PICTURE_UPSCALERS, RESIZE_MODES

SOURCE, MASK = "Source", "Mask"
FILL = of("inpainting_fill", help=f"What the masked part starts from: {listed(INPAINTING_FILLS)}")

KEEP = panel(
    SOURCE,
    own(
        "keep_source", bool, True, "A copy of the source in outputs/init-images, for inspect.",
        "--keep-source/--no-keep-source",
    ),
)  # fmt: skip
REDRAWING = panel(
    SOURCE,
    of("denoising_strength", "--strength", "-d"),
    of("resize_mode", help=listed(RESIZE_MODES)),
)
NOISING = panel(
    SOURCE,
    "exact_steps", "initial_noise_multiplier", "color_correction", "noise_level", "depth",
    own("loopback", int, 1, "So many times, each from the one before."),
)  # fmt: skip
ENLARGING = panel(
    "Enlarging",
    of(
        "tiled.upscaler", "--tile-upscaler",
        help=f"Enlarge, then redraw all of it in tiles: {listed(PICTURE_UPSCALERS, ', or a file')}",
    ),
    of("tiled.scale", "--tile-scale"),
    of("sd_upscale.scale", "--sd-upscale", default=None, help="Enlarge so many times, then redraw tile by tile."),
    of("sd_upscale.upscaler", "--sd-upscale-by", help=listed(PICTURE_UPSCALERS, ", or a file")),
    of("sd_upscale.overlap"),
)  # fmt: skip
INVERTING = panel(
    "Noise inversion",
    of("noise_inversion.enabled", "--noise-inversion"),
    of("noise_inversion.steps", "--inversion-steps"),
    of("noise_inversion.retouch", "--inversion-retouch"),
    of("noise_inversion.renoise_strength", "--inversion-renoise-strength"),
    of("noise_inversion.renoise_kernel", "--inversion-renoise-kernel"),
)
MASKED = panel(
    MASK,
    of("mask", help="White is redrawn; for a folder of pictures, a folder of the same names."),
    own("mask_alpha", bool, False, "Redraw what is transparent.", "--mask-alpha"),
    of("latent_mask", help="What is redrawn, where the mask is only what is pasted; likewise."),
    "mask_invert", "mask_blur", "mask_blur_y",
    of("mask_round", "--mask-round/--no-mask-round"),
    FILL,
    "only_masked", "only_masked_padding",
    of("soft_inpainting.enabled", "--soft", help="Soft inpainting: greys of the mask mix old and new."),
    of("soft_inpainting.schedule_bias", "--soft-schedule-bias"),
    of("soft_inpainting.preservation_strength", "--soft-preservation-strength"),
    of("soft_inpainting.transition_contrast", "--soft-transition-contrast"),
    of("soft_inpainting.mask_influence", "--soft-mask-influence"),
    of("soft_inpainting.difference_threshold", "--soft-difference-threshold"),
    of("soft_inpainting.difference_contrast", "--soft-difference-contrast"),
)  # fmt: skip
EXTENDING = (
    *panel(MASK, of("mask_blur", default=8.0), replace(FILL, default="fill")),
    *panel(SOURCE, of("denoising_strength", "--strength", "-d", default=0.9)),
)
EDITING = (*REDRAWING, *NOISING, *ENLARGING, *INVERTING, *MASKED)
"""Every flag of theirs that sets a field."""

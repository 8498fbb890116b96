"""The options that A1111's clients read and set, with A1111's defaults.

Those of ACTING change the pictures of later requests.  The others are kept and given back, because clients send the
whole dictionary; what they decide in A1111 (folders, formats, previews) is decided by inkwash.toml here.
"""

from __future__ import annotations

from typing import Any

# Option -> the field of a GenerateRequest it is the default of.
ACTING: dict[str, str] = {
    "sd_model_checkpoint": "model",
    "sd_vae": "vae",
    "inkwash_prediction": "prediction",
    "inkwash_ema": "ema",
    "CLIP_stop_at_last_layers": "clip_skip",
    "emphasis": "emphasis",
    "randn_source": "noise_source",
    "eta_noise_seed_delta": "ensd",
    "tiling": "tiling",
    "sigma_min": "sigma_min",
    "sigma_max": "sigma_max",
    "rho": "rho",
    "s_churn": "s_churn",
    "s_tmin": "s_tmin",
    "s_tmax": "s_tmax",
    "s_noise": "s_noise",
    "s_min_uncond": "ngms",
    "s_min_uncond_all": "ngms_all_steps",
    "skip_early_cond": "skip_early_cfg",
    "always_discard_next_to_last_sigma": "discard_penultimate_sigma",
    "code_former_weight": "codeformer_weight",
}

# Likewise, where there is a picture to start from.
EDITING: dict[str, str] = {
    "initial_noise_multiplier": "initial_noise_multiplier",
    "img2img_color_correction": "color_correction",
    "img2img_fix_steps": "exact_steps",
}

# Whether and by what faces are restored, where a request leaves it open.
FACES = ("face_restoration", "face_restoration_model")

OPTIONS: dict[str, Any] = {
    "sd_model_checkpoint": None,  # the catalog's first until one is chosen
    "sd_vae": "Automatic",
    "inkwash_prediction": None,  # not A1111's, which has a .yaml beside the file for this
    "inkwash_ema": False,
    "CLIP_stop_at_last_layers": 1,
    "emphasis": "Original",
    "randn_source": "CPU",
    "eta_noise_seed_delta": 0,
    "tiling": False,
    "eta_ancestral": 1.0,
    "eta_ddim": 0.0,
    "sigma_min": 0.0,
    "sigma_max": 0.0,
    "rho": 0.0,
    "s_churn": 0.0,
    "s_tmin": 0.0,
    "s_tmax": 0.0,
    "s_noise": 1.0,
    "s_min_uncond": 0.0,
    "s_min_uncond_all": False,
    "skip_early_cond": 0.0,
    "always_discard_next_to_last_sigma": False,
    "samples_save": True,
    "samples_format": "png",
    "samples_filename_pattern": "",
    "save_images_add_number": True,
    "grid_save": True,
    "grid_format": "png",
    "return_grid": True,
    "return_mask": False,
    "return_mask_composite": False,
    "n_rows": -1,
    "enable_pnginfo": True,
    "jpeg_quality": 80,
    "webp_lossless": False,
    "outdir_samples": "",
    "outdir_txt2img_samples": "outputs/txt2img-images",
    "outdir_img2img_samples": "outputs/img2img-images",
    "outdir_extras_samples": "outputs/extras-images",
    "outdir_grids": "",
    "outdir_txt2img_grids": "outputs/txt2img-grids",
    "outdir_img2img_grids": "outputs/img2img-grids",
    "outdir_save": "log/images",
    "save_to_dirs": True,
    "grid_save_to_dirs": True,
    "directories_filename_pattern": "[date]",
    "directories_max_prompt_words": 8,
    "upscaler_for_img2img": None,
    "face_restoration": False,
    "face_restoration_model": None,  # the best there is; A1111's is CodeFormer, which it fetches
    "code_former_weight": 0.5,
    "sd_checkpoint_hash": "",
    "sd_checkpoints_limit": 1,
    "sd_checkpoint_cache": 0,
    "sd_vae_checkpoint_cache": 0,
    "sd_vae_overrides_per_model_preferences": True,
    "sd_unet": "Automatic",
    "sd_hypernetwork": "None",
    "inpainting_mask_weight": 1.0,
    "initial_noise_multiplier": 1.0,
    "img2img_color_correction": False,
    "img2img_fix_steps": False,
    "img2img_background_color": "#ffffff",
    "enable_batch_seeds": True,
    "comma_padding_backtrack": 20,
    "upcast_attn": False,
    "token_merging_ratio": 0.0,
    "token_merging_ratio_img2img": 0.0,
    "token_merging_ratio_hr": 0.0,
    "pad_cond_uncond": False,
    "batch_cond_uncond": True,
    "use_old_emphasis_implementation": False,
    "use_old_karras_scheduler_sigmas": False,
    "live_previews_enable": True,
    "live_previews_image_format": "webp",
    "show_progress_every_n_steps": 1,
    "show_progress_type": "Approx NN",
    "live_preview_content": "Prompt",
    "live_preview_refresh_period": 1000,
    "interrogate_keep_models_in_memory": False,
    "deepbooru_use_spaces": True,
    "extra_networks_default_multiplier": 1.0,
    "hide_samplers": [],
    "quicksettings_list": ["sd_model_checkpoint"],
    "control_net_unit_count": 3,
}

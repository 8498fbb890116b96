"""64 prompts drawn by the released file, as one picture for the documentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from inkwash.core.request import GenerateRequest
from inkwash.generation.engine import Engine

from .settings import Settings
from .world.words import TYPICAL_NEGATIVE

GIRL = "a girl,\n(masterpiece:1,2),best quality,masterpiece,highres,original,extremely detailed wallpaper,"
APPLE = "photo of perfect green apple with stem, water droplets, dramatic lighting"
PROMPTS = (  # prompt, negative prompt
    (GIRL, TYPICAL_NEGATIVE),
    (APPLE, ""),
    *((prompt, "") for prompt in (
        "a green apple on a blue background", "a cat on the grass", "a speedboat on the sea",
        "a panda in the snow", "a rocket at night", "a red car", "a castle at sunset", "a dog in the desert",
        "a boy in the sky", "a woman on a pink background", "a man at sunset", "a house on the grass",
        "a tree in the snow", "a flower on a white background", "the sun in the sky", "the moon at night",
        "a star on a purple background", "a mountain at sunset", "a horse on the grass", "a rabbit in the snow",
        "a fish in the ocean", "a bird in the sky", "a bicycle on a gradient background",
        "a robot on an orange background", "a cake on a pink background", "a book on a green background",
        "a sword at sunset", "a crown on a red background", "a dress on a yellow background",
        "a ball on the grass", "a banana on a blue background", "一只猫在草地上", "星空下的一座城堡",
        "雪地里的一只企鹅", "红色背景，一个青苹果", "大海上的一艘轮船", "沙漠里的一只狐狸", "夕阳下的一匹马",
        "蓝天白云，一架飞机", "🐼 🌙 night", "🍓 blue background", "🦊 snow", "a blue cat",
        "a green dog on the grass", "a purple car in the desert", "a pink elephant on a white background",
        "一只蓝色的兔子", "two cats", "three apples on the grass", "two birds in the sky", "三个气球，天空中",
        "a cat and a dog", "a girl next to a horse on the grass", "a fox to the left of a tree",
        "a bird above a house", "a watercolour of a butterfly", "a watercolour of a castle at sunset",
        "an ink wash painting of a horse", "水墨画，一只熊猫", "a line drawing of a cat", "line art of a rocket",
        "a flat sticker of a frog on a purple background",
    )),
)  # fmt: skip
COLUMNS = 8
FRONT = ("a green apple on a blue background", "an ink wash painting of a horse", "一只猫在草地上")  # of the README
DOCS = Path("docs/box")


def draw_gallery(settings: Settings) -> None:
    """Write ``docs/box/gallery.webp``: row by row the prompts above, each with its number as seed; and the README's."""
    engine, side, own = Engine(), settings.world.side, settings.judge
    requests = [
        GenerateRequest(
            prompt=prompt, negative_prompt=negative, seed=seed, steps=own.steps, sampler=own.sampler,
            cfg_scale=own.cfg_scale, width=side, height=side, model=str(settings.paths.model),
        )
        for seed, (prompt, negative) in enumerate(PROMPTS)
    ]  # fmt: skip
    drawn = [np.asarray(result.images[0].convert("RGB")) for result in engine.generate_all(requests)]
    rows = [np.concatenate(drawn[i : i + COLUMNS], axis=1) for i in range(0, len(drawn), COLUMNS)]
    DOCS.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(DOCS / "gallery.webp", quality=75, method=6)
    numbers = [[prompt for prompt, _ in PROMPTS].index(prompt) for prompt in FRONT]
    Image.fromarray(np.concatenate([drawn[n] for n in numbers], axis=1)).save(DOCS / "three.webp", quality=90)
    print(DOCS / "gallery.webp", len(PROMPTS), "prompts")

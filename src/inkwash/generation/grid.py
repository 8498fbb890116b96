"""One request drawn many ways: x/y/z plots, prompt matrix, contact sheet, a prompt without each of its words.

Which requests, and how their pictures stand on one labelled sheet; no tensors, and nothing is drawn here.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from inkwash.core.choices import AUTOMATIC, nearest
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, HiresPass

MOST_CELLS = 1000
CONTACT = 16  # pictures of a contact sheet, four by four

Apply = Callable[[GenerateRequest], GenerateRequest]

# A1111's names of axes, and what people call them; every other field goes by its own name.
ALIASES = {
    "var. seed": "subseed", "var. strength": "subseed_strength", "variation seed": "subseed",
    "variation strength": "subseed_strength", "cfg": "cfg_scale", "checkpoint": "model", "checkpoint name": "model",
    "schedule type": "schedule", "scheduler": "schedule", "denoising": "denoising_strength",
    "strength": "denoising_strength", "initial noise multiplier": "initial_noise_multiplier",
    "sigma churn": "s_churn", "sigma min": "sigma_min", "sigma max": "sigma_max", "sigma noise": "s_noise",
    "schedule rho": "rho", "masked content": "inpainting_fill", "hires": "hires.scale", "upscale": "hires.scale",
    "refiner checkpoint": "refiner", "negative": "negative_prompt", "rng source": "noise_source",
    "face restore": "restore_faces",
}  # fmt: skip
NO_FACES = ("false", "no", "n", "0", "none")  # on an axis of face restorers
SEARCH = ("prompt s/r", "s/r", "prompt search/replace")
ORDER, STYLES, SIZE = "prompt order", "styles", "size"
SEVERAL = (ORDER, STYLES, SIZE)  # axes that are no single field
PICTURES = (
    "init_image", "mask", "latent_mask", "depth", "hires", "soft_inpainting", "sigmas", "styles", "tiled",
    "noise_inversion", "sd_upscale",
)  # fmt: skip
KINDS: dict[str, type] = {
    "width": int, "height": int, "eta": float, "sigma_min": float, "sigma_max": float, "rho": float,
    "denoising_strength": float, "mask_blur_y": float, "model": str, "vae": str, "refiner": str, "strict": bool,
    "prediction": str,
    "discard_penultimate_sigma": bool, "hires.model": str, "hires.sampler": str, "hires.schedule": str,
    "keep_structure": float, "tiled.upscaler": str, "restore_faces": str,
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """name: as typed.  values: what stands at its places, as words; changes: what each does to a request."""

    name: str
    values: tuple[str, ...]
    changes: tuple[Apply, ...]

    def __len__(self) -> int:
        return len(self.values)

    def labels(self) -> list[str]:
        """What stands beside the sheet's rows and above its columns."""
        plain = self.name.casefold() in SEARCH or self.name == ""
        return [value if plain else f"{self.name}: {value}" for value in self.values]


ONE = Axis("", ("",), (lambda request: request,))


@dataclass(frozen=True)
class Sweep:
    """Cells row by row, z's sheets one after another; all of one seed unless an axis says otherwise."""

    x: Axis
    y: Axis
    z: Axis
    requests: tuple[GenerateRequest, ...]


def sweep(request: GenerateRequest, x: Axis, y: Axis = ONE, z: Axis = ONE) -> Sweep:
    """request: with its seed decided.  Raises InvalidRequest if there are too many cells."""
    count = len(x) * len(y) * len(z)
    if count > MOST_CELLS:
        raise InvalidRequest(
            f"This sweep has {count} cells ({len(x)} x {len(y)} x {len(z)}); at most {MOST_CELLS} are drawn.",
            "Take fewer values, or steps such as 1-10 (+3).",
        )
    one = dataclasses.replace(request, batch_size=1, batch_count=1)
    order = itertools.product(z.changes, y.changes, x.changes)
    return Sweep(x, y, z, tuple(across(down(over(one))) for over, down, across in order))


def axis(name: str, text: str, request: GenerateRequest) -> Axis:
    """An axis from its name and values as typed.  Raises InvalidRequest."""
    if name.casefold().strip() in SEARCH:
        return search_and_replace(name, listed(text), request)
    if name.casefold().strip() in SEVERAL:
        return _several(name, listed(text), request)
    field = field_of(name)
    kind = _kind(field)
    if field == "restore_faces":
        return _axis(name, field, [_face_restorer(part) for part in listed(text)])
    if kind in (int, float):
        found = [number for part in listed(text) for number in numbers(part, kind)]
        return _axis(name, field, found)
    return _axis(name, field, [_boolean(part) if kind is bool else part for part in listed(text)])


def _face_restorer(text: str) -> str | None:
    """A1111's words for the usual one and for none; else a name."""
    folded = text.casefold()
    return AUTOMATIC if folded in ("true", "yes", "y", "1") else None if folded in NO_FACES else text


def _axis(name: str, field: str, values: Sequence[Any]) -> Axis:
    if not values:
        raise InvalidRequest(f"The axis {name} has no values.", 'For example "1-10 (+3)" or "Euler, Heun".')
    shown = tuple(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    return Axis(name, shown, tuple(_setting(field, value) for value in values))


def _several(name: str, values: Sequence[str], request: GenerateRequest) -> Axis:
    if not values:
        raise InvalidRequest(f"The axis {name} has no values.", "Give some, with commas between them.")
    match name.casefold().strip():
        case "prompt order":
            return prompt_orders(name, values, request)
        case "styles":
            return Axis(name, tuple(values), tuple(_styled(value) for value in values))
        case _:
            return Axis(name, tuple(values), tuple(_sized(value) for value in values))


def _styled(style: str) -> Apply:
    return lambda request: dataclasses.replace(request, styles=(*request.styles, style))


def _sized(text: str) -> Apply:
    found = re.fullmatch(r"(\d{1,5})\s*x\s*(\d{1,5})", text, re.ASCII)
    if found is None:
        raise InvalidRequest(f"{text!r} is no size.", 'Write it as "512x768".')
    width, height = int(found[1]), int(found[2])
    return lambda request: dataclasses.replace(request, width=width, height=height)


def prompt_orders(name: str, words: Sequence[str], request: GenerateRequest) -> Axis:
    """A1111's prompt order: the words stand in the prompt in every order, and what is between them stays."""
    places = {word: request.prompt.find(word) for word in words}
    if missing := [word for word, place in places.items() if place < 0]:
        raise InvalidRequest(f"The prompt does not hold {missing[0]!r}.", "Name parts of the prompt.")
    if math.factorial(len(words)) > MOST_CELLS:
        raise InvalidRequest(f"{len(words)} words stand in too many orders.", "Take at most six.")
    between, rest = list[str](), request.prompt
    for word in sorted(words, key=places.__getitem__):
        before, _, rest = rest.partition(word)
        between.append(before)
    orders = list(itertools.permutations(words))
    prompts = ["".join(itertools.chain(*zip(between, order, strict=True))) + rest for order in orders]
    return Axis(name, tuple(", ".join(order) for order in orders), tuple(_setting("prompt", p) for p in prompts))


def _setting(field: str, value: object) -> Apply:
    def change(request: GenerateRequest) -> GenerateRequest:
        if field.startswith("hires."):
            hires = dataclasses.replace(request.hires or HiresPass(), **{field[6:]: value})  # type: ignore[arg-type]
            return dataclasses.replace(request, hires=hires)
        return dataclasses.replace(request, **{field: value})  # type: ignore[arg-type]

    return change


def field_of(name: str) -> str:
    """The field of a request that a name means: "CFG Scale", "cfg_scale", "Hires steps", "hires.steps".

    Raises InvalidRequest with the nearest.
    """
    own = [field.name for field in dataclasses.fields(GenerateRequest) if field.name not in PICTURES]
    fields = own + [f"hires.{field.name}" for field in dataclasses.fields(HiresPass)]
    folded = name.casefold().strip()
    known = {field: field for field in fields} | {field.replace("_", " "): field for field in fields}
    known |= {field.replace("hires.", "hires ").replace("_", " "): field for field in fields} | ALIASES
    if folded in known:
        return known[folded]
    close = nearest(name, [*known, *SEARCH])
    remedy = f"Did you mean {' or '.join(close)}?" if close else "For example seed, steps, cfg, sampler, Prompt S/R."
    raise InvalidRequest(f"There is no axis called {name!r}.", remedy)


def _kind(field: str) -> type:
    """Of the field's values: bool, int, float or str."""
    if field in KINDS:
        return KINDS[field]
    default = HiresPass() if field.startswith("hires.") else GenerateRequest()
    return type(getattr(default, field.removeprefix("hires.")))


def _boolean(text: str) -> bool:
    known = {"true": True, "false": False, "on": True, "off": False, "yes": True, "no": False}
    if text.casefold() not in known:
        raise InvalidRequest(f"{text!r} is neither true nor false.", "Write true, false.")
    return known[text.casefold()]


def listed(text: str) -> list[str]:
    """Values between commas; one with commas of its own stands in double quotes."""
    rows = list(csv.reader([text.replace("\n", " ")], skipinitialspace=True))
    return [value.strip() for row in rows for value in row if value.strip()]


_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+))"
_SPAN = re.compile(rf"\s*{_NUMBER}\s*-\s*{_NUMBER}\s*(?:\(\s*{_NUMBER}\s*\)|\[\s*(\d{{1,9}})\s*\])?\s*", re.ASCII)


def numbers(text: str, kind: type) -> list[Any]:
    """ "3", "1-5", "1-10 (+2)", "10-1 (-3)" or "1-10 [4]" (so many, both ends included).  Raises InvalidRequest."""
    match = _SPAN.fullmatch(text)
    try:
        if match is None:
            return [kind(text)]
        start, end = kind(match[1]), kind(match[2])
        if match[4]:
            return _spread(float(start), float(end), int(match[4]), kind)
        return _stepped(start, end, kind(match[3]) if match[3] else (1 if end >= start else -1), text)
    except ValueError:
        wanted = "whole numbers" if kind is int else "numbers"
        raise InvalidRequest(f"{text!r} are no {wanted}.", 'Write "3", "1-5", "1-10 (+2)" or "1-10 [4]".') from None


def _spread(start: float, end: float, count: int, kind: type) -> list[Any]:
    if count > MOST_CELLS:
        raise InvalidRequest(f"{count} values are too many; at most {MOST_CELLS} are drawn.", "Take fewer.")
    if count < 2:
        return [kind(start)] * count
    return [kind(round(start + (end - start) * i / (count - 1), 10)) for i in range(count)]


def _stepped(start: Any, end: Any, step: Any, text: str) -> list[Any]:
    """start, start + step, ... up to and including end."""
    if step == 0 or (end - start) * step < 0:
        raise InvalidRequest(f"{text!r} never arrives.", 'Steps go from the first number to the second: "10-1 (-3)".')
    count = int((end - start) / step + 1e-9) + 1
    if count > MOST_CELLS:
        raise InvalidRequest(f"{text!r} are {count} values; at most {MOST_CELLS} are drawn.", "Take larger steps.")
    exact = [start + step * i for i in range(count)]
    return [round(value, 10) for value in exact] if isinstance(start, float) else exact


def search_and_replace(name: str, words: Sequence[str], request: GenerateRequest) -> Axis:
    """A1111's Prompt S/R: the first of the words is searched for, and stands for itself."""
    if not words:
        raise InvalidRequest("Prompt S/R has no words.", 'For example "cat, dog, fox": cat is replaced by dog and fox.')
    first = words[0]
    if first not in request.prompt and first not in request.negative_prompt:
        raise InvalidRequest(
            f"Prompt S/R looks for {first!r}, which no prompt holds.", "Name a word of the prompt first."
        )

    def replacing(word: str) -> Apply:
        return lambda request: dataclasses.replace(
            request,
            prompt=request.prompt.replace(first, word),
            negative_prompt=request.negative_prompt.replace(first, word),
        )

    return Axis(name, tuple(words), tuple(replacing(word) for word in words))


def seeds(request: GenerateRequest, count: int = CONTACT) -> Axis:
    """A contact sheet: neighbouring seeds.  request: with its seed decided."""
    return _axis("seed", "seed", [request.seed + i for i in range(count)])


def matrix(request: GenerateRequest, field: str = "prompt", delimiter: str = ", ", *, at_start: bool = False) -> Axis:
    """A1111's prompt matrix: of "base | one | two" every combination, base alone first.  Raises InvalidRequest.

    field: the prompt that is taken apart.  at_start: the options stand before the base.
    """
    base, *options = [part.strip().strip(",") for part in getattr(request, field).split("|")]
    if not options or 2 ** len(options) > MOST_CELLS:
        raise InvalidRequest(
            f"A prompt matrix of {len(options)} options has {2 ** len(options)} pictures.",
            'Write 1 to 9 options behind bars: "a cat | at night | in the rain".',
        )
    chosen = [[option for i, option in enumerate(options) if n >> i & 1] for n in range(2 ** len(options))]
    prompts = [delimiter.join([*parts, base] if at_start else [base, *parts]) for parts in chosen]
    return Axis("", tuple(", ".join(parts) or base for parts in chosen), tuple(_setting(field, p) for p in prompts))


_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_NETWORK = re.compile(r"<[^<>]*>")


def without_each_word(request: GenerateRequest, whole: str = "everything", without: str = "without “{}”") -> Axis:
    """The prompt as it is, then without each of its words in turn.  Raises InvalidRequest if it has none.

    whole, without: what the pictures are called.
    """
    text = request.prompt
    tags = [range(*match.span()) for match in _NETWORK.finditer(text)]
    words = [match for match in _WORD.finditer(text) if not any(match.start() in tag for tag in tags)]
    words = [match for match in words if match[0] not in ("AND", "BREAK")]
    if not words:
        raise InvalidRequest("The prompt has no words to leave out.", "Give a prompt of some words.")
    prompts = [tidied(text[: match.start()] + text[match.end() :]) for match in words]
    labels = [whole, *(without.format(match[0]) for match in words)]
    return Axis("", tuple(labels), tuple(_setting("prompt", prompt) for prompt in [text, *prompts]))


def tidied(text: str) -> str:
    """A prompt without what a word that was cut out leaves behind: empty brackets, doubled commas and spaces."""
    before = None
    while before != text:
        before = text
        text = re.sub(r"[(\[]\s*(?::\s*[\d.]+\s*)?[)\]]", "", text)
        text = re.sub(r"\s*,(?:\s*,)+", ",", text)
    return re.sub(r"\s+", " ", re.sub(r"\s+,", ",", text)).strip(" ,")

"""The page's words: every key in both languages, every key used, every used key there."""

from __future__ import annotations

import json
import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "ui" / "src"
TABLE: dict[str, list[str]] = json.loads((SOURCE / "words.json").read_text(encoding="utf-8"))
WORDS = {name: {key: texts[column] for key, texts in TABLE.items()} for column, name in enumerate(("en", "zh"))}
CODE = "".join(
    path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.svelte")) + sorted(SOURCE.rglob("*.ts"))
)
# Keys that are put together: t(`tab.${tab}`), named('state', job.state), ...
BUILT = set(re.findall(r"[`']([\w.]+)\.\$\{", CODE)) | set(re.findall(r"named\('([\w.]+)'", CODE))
SAME = {"page.title", "common.none"}  # may read alike


def test_every_key_is_there_once_in_both_languages() -> None:
    pairs = json.loads((SOURCE / "words.json").read_text(encoding="utf-8"), object_pairs_hook=list)
    assert [key for key, _ in pairs] == list(TABLE)
    assert {len(texts) for texts in TABLE.values()} == {2}


def test_every_text_is_there_and_translated() -> None:
    for key, text in WORDS["zh"].items():
        assert text.strip(), key
        text = re.sub(r"\{\w+\}", "", text)
        translated = (
            re.search(r"[\u4e00-\u9fff]", text) or key.endswith(".prompt") or not re.search("[A-Za-z]{3}", text)
        )
        assert translated, f"{key}: {text}"


def test_the_same_places_are_filled_in() -> None:
    def places(text: str) -> list[str]:
        return sorted(set(re.findall(r"\{(\w+)\}", text)))

    assert [key for key in WORDS["en"] if places(WORDS["en"][key]) != places(WORDS["zh"][key])] == []


def test_every_key_is_used_and_every_used_key_is_there() -> None:
    named = set(re.findall(r"\bt\(\s*'([\w.]+)'", CODE)) | set(re.findall(r"'([a-z]+\.[\w.]+)'", CODE))
    used = {key for key in WORDS["en"] if key in named or any(key.startswith(f"{start}.") for start in BUILT)}
    assert set(WORDS["en"]) - used - {key for key in WORDS["en"] if key.endswith(".prompt")} == set()
    assert {key for key in re.findall(r"\bt\(\s*'([\w.]+)'", CODE) if key not in WORDS["en"]} == set()

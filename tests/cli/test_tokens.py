import json

import pytest

from inkwash.cli import main

Capture = pytest.CaptureFixture[str]


def view(text: str, capsys: Capture, *flags: str) -> dict[str, list]:
    assert main(["tokens", text, "--json", *flags]) == 0
    return json.loads(capsys.readouterr().out)


def test_ids_and_weights(capsys: Capture) -> None:
    """The ids are OpenAI's CLIP vocabulary's: "a" 320, "cat" 2368, "," 267."""
    (text,) = view("a (cat:1.5), cat", capsys)["texts"]
    assert [(token["id"], token["weight"]) for token in text["tokens"]] == [(320, 1), (2368, 1.5), (267, 1), (2368, 1)]
    assert [token["position"] for token in text["tokens"]] == [1, 2, 3, 4]


def test_a_long_prompt_takes_more_chunks(capsys: Capture) -> None:
    (text,) = view("cat " * 80, capsys)["texts"]
    assert [token["chunk"] for token in text["tokens"]] == [0] * 75 + [1] * 5
    assert main(["tokens", "cat " * 80]) == 0
    shown = capsys.readouterr().out
    assert "chunk 1: 75 of 75 tokens" in shown
    assert "chunk 2: 5 of 75 tokens" in shown


def test_parts_and_edits_are_shown_apart(capsys: Capture) -> None:
    texts = view("[cat:dog:5] AND bird:0.5", capsys, "--steps", "10")["texts"]
    assert [(text["part"], text["weight"], text["until"], text["text"].strip()) for text in texts] == [
        (0, 1.0, 5, "cat"),
        (0, 1.0, 10, "dog"),
        (1, 0.5, 10, "bird"),
    ]


def test_networks_and_advice(capsys: Capture) -> None:
    answer = view("cat <lora:mine:0.8> (dog:1,2)", capsys)
    assert [(network["name"], network["unet_weight"]) for network in answer["networks"]] == [("mine", 0.8)]
    assert answer["advice"]
    assert all("lora" not in token["text"] for token in answer["texts"][0]["tokens"])


def test_an_unknown_emphasis_is_told_with_the_nearest(capsys: Capture) -> None:
    assert main(["tokens", "cat", "--emphasis", "orginal"]) == 1
    assert "Original" in capsys.readouterr().err


def test_an_empty_prompt(capsys: Capture) -> None:
    assert main(["tokens", ""]) == 0
    assert "0 of 75" in capsys.readouterr().out

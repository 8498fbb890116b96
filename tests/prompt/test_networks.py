"""Tags of networks in prompts, as A1111 v1.10 reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkwash.core.errors import InvalidRequest
from inkwash.prompt import NetworkRef, parse_networks


@pytest.mark.parametrize(
    ("tag", "network"),
    [
        ("<lora:add detail>", NetworkRef("lora", "add detail", 1.0, 1.0)),
        ("<lora:x:0.8>", NetworkRef("lora", "x", 0.8, 0.8)),
        ("<lora:x:-1>", NetworkRef("lora", "x", -1.0, -1.0)),
        ("<lora:x:0.8:0.5>", NetworkRef("lora", "x", 0.8, 0.5)),
        ("<lora:x:0.8:0.5:16>", NetworkRef("lora", "x", 0.8, 0.5, 16)),
        ("<lora:x:te=0.2>", NetworkRef("lora", "x", 0.2, 0.2)),
        ("<lora:x:unet=0.2>", NetworkRef("lora", "x", 1.0, 0.2)),
        ("<lora:x:0.5:te=0.2:unet=0.3:dyn=8>", NetworkRef("lora", "x", 0.2, 0.3, 8)),
        ("<lora:x:unet=0.3:0.5>", NetworkRef("lora", "x", 0.5, 0.3)),
        ("<lora:a=b:0.5>", NetworkRef("lora", "a=b", 0.5, 0.5)),
        ("<lora:folder/x.v2 (final):.5>", NetworkRef("lora", "folder/x.v2 (final)", 0.5, 0.5)),
        ("<lora:水墨:0.7>", NetworkRef("lora", "水墨", 0.7, 0.7)),
        ("<lyco:x:0.8>", NetworkRef("lora", "x", 0.8, 0.8)),
        ("<hypernet:x>", NetworkRef("hypernet", "x", 1.0, 1.0)),
        ("<hypernet:x:0.4>", NetworkRef("hypernet", "x", 0.4, 0.4)),
    ],
)
def test_a_tag(tag, network):
    assert parse_networks(f"a {tag}, b") == ("a , b", (network,))


def test_tags_keep_their_order_and_repeat():
    text, networks = parse_networks("<lora:b:1>a<hypernet:c:0.5><lora:b:2>")
    assert text == "a"
    assert [(network.kind, network.name, network.unet_weight) for network in networks] == [
        ("lora", "b", 1.0),
        ("hypernet", "c", 0.5),
        ("lora", "b", 2.0),
    ]


def test_tags_of_unknown_kinds_are_dropped():
    assert parse_networks("a <foo:bar:1> b") == ("a  b", ())


@pytest.mark.parametrize(
    "text", ["a < b", "<lora>", "<lora:>", "<lora:x", "lora:x>", "<:x>", "< lora:x>", "<3 you", "a -> b:c>"]
)
def test_what_is_no_tag_stays(text):
    assert parse_networks(text) == (text, ())


@pytest.mark.parametrize(
    "tag",
    ["<lora:x:strong>", "<lora:x:>", "<lora:x:1:y>", "<lora:x:nan>", "<lora:x:inf>", "<hypernet:x:y>", "<lora:x:te=>"],
)
def test_a_weight_that_is_no_number_is_refused(tag):
    with pytest.raises(InvalidRequest, match="is not a weight") as error:
        parse_networks(tag)
    assert tag in str(error.value)


@pytest.mark.parametrize("rank", ["0", "-1", "1.5", "x", "9" * 5000])
def test_a_rank_that_is_no_number_is_refused(rank):
    with pytest.raises(InvalidRequest, match="is not a rank"):
        parse_networks(f"<lora:x:dyn={rank}>")


@given(
    st.lists(st.sampled_from(["<", ">", ":", "lora", "te=", "=", "1", "a", " ", "<lora:"]), max_size=30).map("".join)
)
def test_any_text_is_read_or_refused_in_words(text):
    try:
        rest, networks = parse_networks(text)
    except InvalidRequest:
        return
    assert len(rest) <= len(text) - len("<lora:x>") * len(networks)

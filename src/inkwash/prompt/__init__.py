"""The prompt language: text to weighted pieces, schedules, networks, tokens.  Text only; imports no torch."""

from inkwash.prompt.advice import Advice, advise
from inkwash.prompt.chunks import Chunk, Emphasis, Token, chunk, token_view, tokenize
from inkwash.prompt.comments import strip_comments
from inkwash.prompt.editing import schedule
from inkwash.prompt.grammar import BREAK, parse_attention, parse_compositions
from inkwash.prompt.networks import NetworkRef, parse_networks
from inkwash.prompt.styles import Style, apply_styles, load_styles
from inkwash.prompt.tokenizer import Tokenizer
from inkwash.prompt.tokenizer import load as load_tokenizer
from inkwash.prompt.wildcards import expand_wildcards, find_wildcards

__all__ = [
    "BREAK",
    "Advice",
    "Chunk",
    "Emphasis",
    "NetworkRef",
    "Style",
    "Token",
    "Tokenizer",
    "advise",
    "apply_styles",
    "chunk",
    "expand_wildcards",
    "find_wildcards",
    "load_styles",
    "load_tokenizer",
    "parse_attention",
    "parse_compositions",
    "parse_networks",
    "schedule",
    "strip_comments",
    "token_view",
    "tokenize",
]

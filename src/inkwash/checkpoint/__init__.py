"""Model files: what they hold, read without trust, under whatever names they use.  Nothing here builds a network."""

from inkwash.checkpoint.catalog import Catalog, Entry
from inkwash.checkpoint.convert import save_ldm
from inkwash.checkpoint.detect import detect, detect_vae
from inkwash.checkpoint.families import FAMILIES
from inkwash.checkpoint.files import Source, read, read_header, write
from inkwash.checkpoint.files import open_source as open
from inkwash.checkpoint.hashes import HashCache, auto_v2, old_hash, sha256, short_hash
from inkwash.checkpoint.header import Header, TensorInfo
from inkwash.checkpoint.keys import diffusers_to_ldm, ldm_to_diffusers
from inkwash.checkpoint.match import KeyReport, Weights, check_keys, check_vae_keys, model_weights, vae_weights
from inkwash.checkpoint.parameters import parameters
from inkwash.checkpoint.pipeline import save_diffusers
from inkwash.checkpoint.spec import ModelSpec, NoiseSpec, TextSpec, UNetSpec, VAESpec
from inkwash.core.errors import DamagedFile, ModelNotFound, UnsupportedModel

__all__ = [
    "FAMILIES",
    "Catalog",
    "DamagedFile",
    "Entry",
    "HashCache",
    "Header",
    "KeyReport",
    "ModelNotFound",
    "ModelSpec",
    "NoiseSpec",
    "Source",
    "TensorInfo",
    "TextSpec",
    "UNetSpec",
    "UnsupportedModel",
    "VAESpec",
    "Weights",
    "auto_v2",
    "check_keys",
    "check_vae_keys",
    "detect",
    "detect_vae",
    "diffusers_to_ldm",
    "ldm_to_diffusers",
    "model_weights",
    "old_hash",
    "open",
    "parameters",
    "read",
    "read_header",
    "save_diffusers",
    "save_ldm",
    "sha256",
    "short_hash",
    "vae_weights",
    "write",
]

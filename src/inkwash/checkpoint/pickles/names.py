"""Every global a pickle may use, by name, and what stands for it here: a closed list.

Nothing is imported or looked up for a name.  What a pickle "calls" is one of the functions below, each of which makes a
plain value or the description of a tensor out of plain values.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from inkwash.checkpoint.header import DTYPE_BITS, MAX_DIMENSIONS
from inkwash.checkpoint.pickles.values import Inert, Name, Refused, Storage, Tensor, key

DO_NOT_TRUST = "Do not trust its source: a model has no need of that.  Get the .safetensors version of the model."

_STORAGES = {
    **{"FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64"},
    **{"LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8"},
    **{"BoolStorage": "BOOL", "ComplexFloatStorage": "C64"},
}
STORAGES: dict[str, str | None] = {
    **{f"torch.{name}": dtype for name, dtype in _STORAGES.items()},
    "torch.storage.UntypedStorage": None,
    "torch.UntypedStorage": None,
}
DTYPES = {
    **{"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16", "torch.float64": "F64"},
    **{"torch.int64": "I64", "torch.int32": "I32", "torch.int16": "I16", "torch.int8": "I8", "torch.uint8": "U8"},
    **{"torch.uint16": "U16", "torch.uint32": "U32", "torch.uint64": "U64", "torch.bool": "BOOL"},
    **{"torch.float8_e4m3fn": "F8_E4M3", "torch.float8_e5m2": "F8_E5M2", "torch.float8_e8m0fnu": "F8_E8M0"},
    **{"torch.float8_e4m3fnuz": "F8_E4M3FNUZ", "torch.float8_e5m2fnuz": "F8_E5M2FNUZ", "torch.complex64": "C64"},
}
# Classes of settings that trainers leave in a checkpoint: what the pickle says of them is kept as it stands, unused.
_SETTINGS = (
    *("torch.device", "torch.nn.modules.container.ParameterDict", "argparse.Namespace"),
    *("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath"),
    *("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
    *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    *("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode"),
    *("omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata"),
)
# Mentioned, never called.
_REFERENCES = (
    *(f"builtins.{name}" for name in ("dict", "list", "tuple", "set", "int", "float", "str", "bool", "object")),
    *("typing.Any", "numpy.ndarray", "torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"),
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,199}")


def mention(module: str, name: str) -> Name:
    """The name of a global.  A class of some trainer may be mentioned, as Lightning mentions its callbacks; one of
    Python, PyTorch or NumPy only if it is listed here."""
    text = f"{'builtins' if module == '__builtin__' else module}.{name}"
    if not _NAME.fullmatch(text):
        raise Refused(f"its pickle names a global {text[:80]!r}")
    if text not in _KNOWN and (text.partition(".")[0] in _STRICT):
        raise Refused(f"its pickle asks for {text}, which reading weights does not need", DO_NOT_TRUST)
    return Name(text)


def make(name: Name, arguments: tuple[object, ...]) -> object:
    """What the pickle gets for "calling" ``name``.  Raises Refused for everything that is not listed."""
    maker = _MAKERS.get(name.text)
    if maker is None:
        raise Refused(f"its pickle calls {name.text}, which reading weights does not need", DO_NOT_TRUST)
    return maker(name, arguments)


def storage_dtype(name: object) -> str | None:
    """The dtype of a storage class; None for one without.  Raises Refused if ``name`` is none."""
    if not isinstance(name, Name) or name.text not in STORAGES:
        raise Refused(
            f"its pickle has numbers of an unknown kind ({name.text if isinstance(name, Name) else 'no name'})"
        )
    return STORAGES[name.text]


def itemsize(dtype: str | None) -> int:
    """Bytes of one element; storages without dtype count bytes."""
    return DTYPE_BITS[dtype] // 8 if dtype else 1


def _mapping(name: Name, arguments: tuple[object, ...]) -> object:
    """OrderedDict(), OrderedDict([(key, value), ...]), defaultdict(dict)."""
    items = arguments[0] if arguments else []
    if isinstance(items, Name):
        items = []
    if isinstance(items, dict):
        return dict(items)
    if not isinstance(items, list) or not all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
        raise Refused(f"its pickle makes a {name.text} of something else than pairs")
    return {key(item[0]): item[1] for item in items}


def _collection(name: Name, arguments: tuple[object, ...]) -> object:
    items = arguments[0] if arguments else ()
    if not isinstance(items, list | tuple):
        raise Refused(f"its pickle makes a {name.text} of something else than a list")
    return {key(item) for item in items} if name.text.endswith("set") else tuple(items)


def _encoded(name: Name, arguments: tuple[object, ...]) -> object:
    """How protocol 2 writes bytes: text in Latin-1."""
    if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1] not in ("latin1", "latin-1"):
        raise Refused("its pickle encodes something that is no text")
    return arguments[0].encode("latin-1")


def _bytes(name: Name, arguments: tuple[object, ...]) -> object:
    """bytes() for empty ones, bytearray(bytes)."""
    if len(arguments) > 1 or not all(isinstance(value, bytes) for value in arguments):
        raise Refused(f"its pickle makes {name.text} of something else than bytes")
    return arguments[0] if arguments else b""


def _setting(name: Name, arguments: tuple[object, ...]) -> object:
    return Inert(name)


def _tensor(name: Name, arguments: tuple[object, ...]) -> object:
    """_rebuild_tensor(storage, offset, shape, stride); v2 adds requires_grad, hooks and metadata, v3 the dtype."""
    if not 4 <= len(arguments) <= 8:
        raise Refused(f"its pickle gives a tensor {len(arguments)} properties")
    storage, offset, shape, stride, *more = arguments
    if not isinstance(storage, Storage):
        raise Refused("its pickle has a tensor without numbers")
    stated = more.pop(2) if name.text.endswith("_v3") and len(more) > 2 else None
    dtype = DTYPES.get(stated.text) if isinstance(stated, Name) else storage.dtype
    if any(more[2:]):
        raise Refused("its pickle has a tensor that is conjugated or negated")
    if dtype is None:
        raise Refused(
            "its pickle has a tensor of an unknown dtype", "Use a version of the model in float32 or float16."
        )
    return Tensor(storage, dtype, *_view(offset, shape, stride))


def _view(offset: object, shape: object, stride: object) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    sizes = _sizes(shape), _sizes(stride)
    if len(sizes[0]) != len(sizes[1]):
        raise Refused("its pickle has a tensor with more dimensions than strides, or fewer")
    return _sizes((offset,))[0], *sizes


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > MAX_DIMENSIONS:
        raise Refused("its pickle has a tensor with an impossible shape")
    for number in value:
        if type(number) is not int or not 0 <= number < 2**63:
            raise Refused(f"its pickle has a tensor with the impossible size or stride {str(number)[:40]}")
    return value


def _parameter(name: Name, arguments: tuple[object, ...]) -> object:
    """_rebuild_parameter(tensor, requires_grad, hooks), Parameter(tensor, requires_grad): the tensor itself."""
    if not arguments or not isinstance(arguments[0], Tensor):
        raise Refused("its pickle has a parameter that is no tensor")
    return arguments[0]


def _typed(name: Name, arguments: tuple[object, ...]) -> object:
    """_rebuild_from_type_v2(function, type, arguments, state): a tensor with attributes, which are let go."""
    if len(arguments) != 4 or not isinstance(arguments[0], Name) or arguments[0].text not in _TENSORS:
        raise Refused("its pickle has a tensor of an unknown class")
    return _call_tensor(arguments[0], arguments[2])


def _call_tensor(name: Name, arguments: object) -> object:
    if not isinstance(arguments, tuple):
        raise Refused("its pickle has a tensor without properties")
    return _TENSORS[name.text](name, arguments)


Maker = Callable[[Name, tuple[object, ...]], object]

_TENSORS: dict[str, Maker] = {
    **{f"torch._utils._rebuild_tensor{version}": _tensor for version in ("", "_v2", "_v3")},
    **{f"torch._utils._rebuild_parameter{kind}": _parameter for kind in ("", "_with_state")},
}
_MAKERS: dict[str, Maker] = {
    **_TENSORS,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.Size": _collection,
    **{f"collections.{name}": _mapping for name in ("OrderedDict", "defaultdict", "Counter")},
    "pytorch_lightning.utilities.parsing.AttributeDict": _mapping,
    **{f"builtins.{name}": _collection for name in ("set", "frozenset")},
    **{f"builtins.{name}": _bytes for name in ("bytes", "bytearray")},
    "_codecs.encode": _encoded,
    **dict.fromkeys(_SETTINGS, _setting),
}
_KNOWN = {*_MAKERS, *STORAGES, *DTYPES, *_REFERENCES}
_STRICT = {*sys.stdlib_module_names, "builtins", "torch", "numpy", "inkwash", "copy_reg", "commands"}

assert set(DTYPES.values()) <= set(DTYPE_BITS)

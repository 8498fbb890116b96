"""What stands for the functions a pickle calls: each makes a plain value, or the description of a tensor."""

from __future__ import annotations

from collections.abc import Callable

from inkwash.checkpoint.header import MAX_DIMENSIONS
from inkwash.checkpoint.pickles.kinds import DTYPES
from inkwash.checkpoint.pickles.values import Inert, Name, Refused, Storage, Tensor, key

Maker = Callable[[Name, tuple[object, ...]], object]


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


_TENSORS: dict[str, Maker] = {
    **{f"torch._utils._rebuild_tensor{version}": _tensor for version in ("", "_v2", "_v3")},
    **{f"torch._utils._rebuild_parameter{kind}": _parameter for kind in ("", "_with_state")},
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
MAKERS: dict[str, Maker] = {
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

"""What numbers a storage or tensor may hold: PyTorch's names, and those of safetensors."""

from __future__ import annotations

from inkwash.checkpoint.header import DTYPE_BITS
from inkwash.checkpoint.pickles.values import Name, Refused

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

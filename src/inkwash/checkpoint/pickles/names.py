"""Every global a pickle may use, by name: a closed list.

Nothing is imported or looked up for a name.  What a pickle "calls" is one of ``makers``.
"""

from __future__ import annotations

import re
import sys

from inkwash.checkpoint.pickles.kinds import DTYPES, STORAGES
from inkwash.checkpoint.pickles.makers import MAKERS
from inkwash.checkpoint.pickles.values import Name, Refused

DO_NOT_TRUST = "Do not trust its source: a model has no need of that.  Get the .safetensors version of the model."

# Mentioned, never called.
_REFERENCES = (
    *(f"builtins.{name}" for name in ("dict", "list", "tuple", "set", "int", "float", "str", "bool", "object")),
    *("typing.Any", "numpy.ndarray", "torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"),
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,199}")
_KNOWN = {*MAKERS, *STORAGES, *DTYPES, *_REFERENCES}
_STRICT = {*sys.stdlib_module_names, "builtins", "torch", "numpy", "inkwash", "copy_reg", "commands"}


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
    maker = MAKERS.get(name.text)
    if maker is None:
        raise Refused(f"its pickle calls {name.text}, which reading weights does not need", DO_NOT_TRUST)
    return maker(name, arguments)

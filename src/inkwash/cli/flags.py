"""How flags are declared: each once, most by the field of the request that it sets, in groups that commands take."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from inkwash.core.parameters import BY_NAME

KINDS = {
    "text": str, "choice": str, "list": str, "integer": int, "number": float, "boolean": bool, "image": Path,
}  # fmt: skip
TABLE: Any = object()
"""A default that ``core.parameters`` knows."""


@dataclass(frozen=True)
class Flag:
    """kind: what Typer makes of the word.  options: as a person types it.  field: of the request, that it sets."""

    name: str
    kind: Any
    default: Any
    help: str
    options: tuple[str, ...]
    field: str | None = None
    panel: str | None = None

    @functools.cached_property
    def parameter(self) -> Parameter:
        """As Typer reads it from a function's signature."""
        annotation = Annotated[self.kind, option(self.panel, self.help, *self.options)]  # type: ignore[name-defined]
        return Parameter(self.name, Parameter.KEYWORD_ONLY, default=self.default, annotation=annotation)


def of(field: str, *options: str, help: str = "", default: Any = TABLE, kind: Any = None) -> Flag:
    """A field's flag; what is not said is as the table has it."""
    known = BY_NAME[field]
    options = options or (f"--{field.replace('.', '-').replace('_', '-')}",)
    default, kind = known.default if default is TABLE else default, kind or KINDS[known.kind]
    name = options[0].partition("/")[0].removeprefix("--").replace("-", "_")
    return Flag(name, kind | None if default is None else kind, default, help or known.help.en, options, field)


def own(name: str, kind: Any, default: Any, help: str, *options: str) -> Flag:
    """A flag that sets no field."""
    return Flag(name, kind, default, help, options or (f"--{name.replace('_', '-')}",))


def panel(title: str | None, *flags: Flag | str) -> tuple[Flag, ...]:
    """Flags that stand together in --help; a field's name alone is its flag."""
    return tuple(replace(of(flag) if isinstance(flag, str) else flag, panel=title) for flag in flags)


def option(panel: str | None, help: str, *names: str) -> Any:
    """What a command says of a flag in its own signature; without names it is called as its parameter."""
    return Option(*names, help=help, rich_help_panel=panel)


def takes(*groups: Sequence[Flag]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command with the flags of these groups, after those of its own signature.

    It receives them by name: those it has parameters for there, all others in its ``**flags``.
    """
    flags = [flag for group in groups for flag in group]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        taken = {flag.name for flag in flags}
        declared = signature(command, eval_str=True).parameters.values()
        mine = [one for one in declared if one.kind is not Parameter.VAR_KEYWORD and one.name not in taken]
        parameters = [
            *(one.replace(kind=Parameter.KEYWORD_ONLY) for one in mine),
            *(flag.parameter for flag in flags),
        ]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(**values)

        del run.__wrapped__  # Typer would look through it
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate

"""The program: its commands, and how whatever goes wrong is told.

Exit status: 0 done, 1 an error in words, 2 wrong usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import copy
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from inkwash import __version__
from inkwash.cli.doctor import doctor
from inkwash.cli.edits import img2img, inpaint, outpaint, refine
from inkwash.cli.enlarge import enlarge
from inkwash.cli.inspect import inspect
from inkwash.cli.layers import layers
from inkwash.cli.models import models
from inkwash.cli.picture import picture
from inkwash.cli.serve import serve, webui
from inkwash.cli.sweeps import sweep, words
from inkwash.cli.terminal import say, show_error
from inkwash.cli.tokens import tokens
from inkwash.cli.txt2img import txt2img
from inkwash.cli.upscale import upscale
from inkwash.core import allocators
from inkwash.core.errors import Cancelled, InkwashError

if TYPE_CHECKING:
    from inkwash.cli.drawing import OpenEngine

REPORT = "This is a defect in Inkwash.  Please report it with the lines above and what `inkwash doctor` says."

app = typer.Typer(
    name="inkwash",
    help="Pictures from words, on your own machine.",
    epilog='Begin with: inkwash txt2img "a cute cat, best quality"',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(no_args_is_help=True)(txt2img)
for drawing in (img2img, inpaint, outpaint, refine, enlarge, upscale, sweep, words):
    app.command(no_args_is_help=True)(drawing)
app.add_typer(layers)
app.add_typer(picture)
app.command()(webui)
app.command()(serve)
app.command(no_args_is_help=True)(inspect)
app.command(no_args_is_help=True)(tokens)
app.add_typer(models, name="models")
app.command()(doctor)


@app.command()
def version() -> None:
    """Print the version."""
    print(f"inkwash {__version__}")


def asked_for(arguments: Sequence[str]) -> typer.Typer:
    """The program with nothing but the command that is asked for, if one is: to build the flags of all the others
    takes as long as to show those of one."""
    named = [one for one in app.registered_commands if one.callback and [one.callback.__name__] == list(arguments[:1])]
    if not named:
        return app
    small = copy.copy(app)
    small.registered_commands, small.registered_groups = named, []
    small.callback()(lambda: None)  # else the only command would have no name
    return small


def run(arguments: Sequence[str] | None = None, open_engine: OpenEngine | None = None) -> int:
    """Run one command.  open_engine: how tests put an engine of their own."""
    given = None if arguments is None else list(arguments)
    allocators.prepare()
    try:
        program = asked_for(sys.argv[1:] if given is None else given)
        program(given, prog_name="inkwash", obj=open_engine)
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except Cancelled:
        say("Stopped.")
        return 130
    except InkwashError as error:
        show_error(error)
        return 1
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:
        traceback.print_exc()
        say(REPORT)
        return 1
    return 0

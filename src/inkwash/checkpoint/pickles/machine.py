"""A machine that follows a pickle's opcodes and makes plain values and descriptions of tensors, nothing else.

A pickle is a program for a stack machine; PyTorch's reader hands it Python's own functions to call.  This one has none
to hand out: a global stays a ``Name``, and "calling" one asks ``names.make``, a closed table.  Work and memory are
bounded.
"""

from __future__ import annotations

from collections.abc import Callable

from inkwash.checkpoint.pickles.cursor import Cursor, cut_short
from inkwash.checkpoint.pickles.literals import LITERALS
from inkwash.checkpoint.pickles.names import make, mention
from inkwash.checkpoint.pickles.values import Inert, Name, Refused, Storage, key, pairs

MAX_BYTES = 32_000_000  # of one pickle; Stable Diffusion's own training checkpoint has 1 MB
MAX_STEPS = 1_500_000  # opcodes; 50,000 tensors need about 2/3 of them
MAX_MEMO = 700_000
MAX_CONTAINERS = 400_000
MAX_MARKS = 1_000

_CONTAINERS = frozenset(b"]})\x8f")


class Machine:
    """Runs the pickles of one file.  persistent: from a persistent id to the storage it names."""

    def __init__(self, cursor: Cursor, persistent: Callable[[object], Storage]) -> None:
        self.cursor = cursor
        self.persistent = persistent
        self.steps = self.containers = 0

    def run(self) -> object:
        """The value of the pickle at the cursor, which then stands behind it.  Raises Refused."""
        self.stack: list[object] = []
        self.marked: list[list[object]] = []  # the stacks below each MARK
        self.memo: dict[int, object] = {}
        try:
            self._follow()
            if self.marked or len(self.stack) != 1:
                raise Refused("its pickle does not come to one value")
            return self.stack.pop()
        except IndexError:
            raise self._misplaced() from None
        except (ValueError, OverflowError, TypeError) as error:  # UnicodeDecodeError is a ValueError
            raise Refused(f"its pickle is not valid: {str(error)[:120]}") from None

    def _follow(self) -> None:
        cursor, data = self.cursor, self.cursor.data
        for _ in range(MAX_STEPS - self.steps):
            if cursor.at >= len(data):
                raise cut_short()
            opcode = data[cursor.at]
            cursor.at += 1
            self.steps += 1
            if opcode == _STOP:
                return
            if literal := LITERALS.get(opcode):
                self.stack.append(literal(cursor))
                self.containers += opcode in _CONTAINERS
            elif step := _STEPS.get(opcode):
                step(self)
            else:
                raise Refused(f"its pickle has the opcode 0x{opcode:02x} at byte {cursor.at - 1}, which no model needs")
            if self.containers > MAX_CONTAINERS or len(self.memo) > MAX_MEMO:
                raise Refused("its pickle makes far more objects than any model")
        raise Refused(f"its pickle has more than {MAX_STEPS} steps")

    def _misplaced(self) -> Refused:
        return Refused(f"its pickle takes a value that is not there, near byte {self.cursor.at}")

    def mark(self) -> None:
        if len(self.marked) == MAX_MARKS:
            raise Refused(f"the values of its pickle are nested more than {MAX_MARKS} deep")
        self.marked.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[object]:
        """What was pushed since the last MARK, which is gone then."""
        values, self.stack = self.stack, self.marked.pop()
        return values

    def top(self) -> object:
        return self.stack[-1]

    def push_container(self, value: object) -> None:
        self.stack.append(value)
        self.containers += 1

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise self._misplaced()
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.push_container(values)

    def append(self, values: list[object]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise Refused("its pickle appends to something that is no list")
        target.extend(values)

    def add(self, values: list[object]) -> None:
        target = self.top()
        if not isinstance(target, set):
            raise Refused("its pickle adds to something that is no set")
        target.update(key(value) for value in values)

    def set_items(self, values: list[object]) -> None:
        target = self.top()
        if not isinstance(target, dict):
            raise Refused("its pickle sets an item of something that is no dictionary")
        target.update(pairs(values))

    def remember(self, place: int) -> None:
        self.memo[place] = self.top()

    def recall(self, place: int) -> None:
        if place not in self.memo:
            raise Refused(f"its pickle refers to its value number {place}, which was never stored")
        self.stack.append(self.memo[place])

    def mention(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refused("its pickle names a global by something that is no text")
        self.stack.append(mention(module, name))

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.mention(module, name)

    def call(self, name: object, arguments: object) -> None:
        """REDUCE, NEWOBJ and their older kin."""
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise Refused("its pickle calls something that is no name")
        self.push_container(make(name, arguments))

    def call_popped(self) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        self.call(name, arguments)

    def call_with_keywords(self) -> None:
        if self.stack.pop():
            raise Refused("its pickle calls something with keywords")
        self.call_popped()

    def call_marked(self) -> None:
        name, *arguments = self.since_mark() or [None]
        self.call(name, tuple(arguments))

    def call_line(self) -> None:
        module, name = str(self.cursor.line(), "utf-8"), str(self.cursor.line(), "utf-8")
        self.call(mention(module, name), tuple(self.since_mark()))

    def set_state(self) -> None:
        """BUILD.  Attributes of a dictionary, such as a state dict's ``_metadata``, are let go."""
        state, target = self.stack.pop(), self.top()
        if isinstance(target, Inert):
            target.state = state
        elif not isinstance(target, dict):
            raise Refused("its pickle sets attributes of something that has none")


_STOP = ord(".")
_STEPS: dict[int, Callable[[Machine], object]] = {
    0x80: lambda machine: machine.cursor.take(1),  # PROTO
    0x95: lambda machine: machine.cursor.take(8),  # FRAME: a hint for buffering
    ord("("): Machine.mark,
    ord("0"): lambda machine: machine.stack.pop() if machine.stack else machine.since_mark(),
    ord("1"): Machine.since_mark,
    ord("2"): lambda machine: machine.stack.append(machine.top()),
    ord("t"): lambda machine: machine.push_container(tuple(machine.since_mark())),
    0x85: lambda machine: machine.tuple_of(1),
    0x86: lambda machine: machine.tuple_of(2),
    0x87: lambda machine: machine.tuple_of(3),
    ord("l"): lambda machine: machine.push_container(machine.since_mark()),
    ord("d"): lambda machine: machine.push_container(pairs(machine.since_mark())),
    0x91: lambda machine: machine.push_container(frozenset(map(key, machine.since_mark()))),
    ord("a"): lambda machine: machine.append([machine.stack.pop()]),
    ord("e"): lambda machine: machine.append(machine.since_mark()),
    0x90: lambda machine: machine.add(machine.since_mark()),
    ord("s"): lambda machine: machine.set_items([machine.stack.pop(-2), machine.stack.pop()]),
    ord("u"): lambda machine: machine.set_items(machine.since_mark()),
    ord("p"): lambda machine: machine.remember(int(machine.cursor.line())),
    ord("q"): lambda machine: machine.remember(machine.cursor.unsigned(1)),
    ord("r"): lambda machine: machine.remember(machine.cursor.unsigned(4)),
    0x94: lambda machine: machine.remember(len(machine.memo)),
    ord("g"): lambda machine: machine.recall(int(machine.cursor.line())),
    ord("h"): lambda machine: machine.recall(machine.cursor.unsigned(1)),
    ord("j"): lambda machine: machine.recall(machine.cursor.unsigned(4)),
    ord("c"): lambda machine: machine.mention(str(machine.cursor.line(), "utf-8"), str(machine.cursor.line(), "utf-8")),
    0x93: Machine.stack_global,
    ord("R"): Machine.call_popped,
    0x81: Machine.call_popped,  # NEWOBJ
    0x92: Machine.call_with_keywords,  # NEWOBJ_EX
    ord("o"): Machine.call_marked,  # OBJ
    ord("i"): Machine.call_line,  # INST
    ord("b"): Machine.set_state,
    ord("Q"): lambda machine: machine.stack.append(machine.persistent(machine.stack.pop())),
}

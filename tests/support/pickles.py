"""Checkpoints pickled by hand: sound ones, and every kind of hostile one.

Pickles are written opcode by opcode and zips field by field, so that nothing stands between a test and the bytes.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from dataclasses import dataclass, replace

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
FACTS = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
NUMBERS = struct.pack("<4f", 1, 2, 3, 4)


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def pair(first: bytes, second: bytes) -> bytes:
    return first + second + b"\x86"


def storage(key: str = "0", numel: int = 4, kind: str = "torch\nFloatStorage", view: bytes = b"") -> bytes:
    return (
        b"(" + text("storage") + b"c" + kind.encode() + b"\n" + text(key) + text("cpu") + number(numel) + view + b"tQ"
    )


def sizes(*values: int) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def tensor(
    held: bytes | None = None,
    offset: int = 0,
    shape: bytes | None = None,
    stride: bytes | None = None,
    tail: bytes = b"",
) -> bytes:
    """torch._utils._rebuild_tensor_v2 of a storage; by default 4 numbers."""
    arguments = (held or storage()) + number(offset) + (shape or sizes(4)) + (stride or sizes(1))
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"\x89" + hooks + tail + b"tR"


def mapping(*items: tuple[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(name) + value for name, value in items) + b"u"


def root(*extra: tuple[str, bytes], before: bytes = b"", weights: bytes | None = None) -> bytes:
    """A whole pickle: a state dict with one tensor, and what else is given."""
    held = mapping(("state_dict", mapping(("a", weights or tensor()))), *extra)
    return b"\x80\x02" + before + held + b"."


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


@dataclass(frozen=True)
class Part:
    """One entry of a zip file; what its local header tells may differ from what the directory tells."""

    name: str
    data: bytes
    method: int = 0
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    local_name: str | None = None
    local_size: int | None = None
    local_flags: int | None = None
    local_crc: int | None = None


def packed(parts: list[Part], *, shift: int = 0, tail: bytes = b"", count: int | None = None) -> bytes:
    """A zip file.  shift: added to the offset of the last entry."""
    body, directory = b"", b""
    for part in parts:
        crc = zlib.crc32(part.data) if part.crc is None else part.crc
        size = len(part.data) if part.size is None else part.size
        name, local = part.name.encode(), (part.local_name or part.name).encode()
        offset = len(body) + (shift if part is parts[-1] else 0)
        local_flags = part.flags if part.local_flags is None else part.local_flags
        local_crc = crc if part.local_crc is None else part.local_crc
        local_size = size if part.local_size is None else part.local_size
        fields = (
            b"PK\x03\x04",
            20,
            local_flags,
            part.method,
            0,
            0,
            local_crc,
            len(part.data),
            local_size,
            len(local),
            0,
        )
        body += struct.pack("<4s5HLLLHH", *fields) + local + part.data
        fields = (
            b"PK\x01\x02",
            20,
            20,
            part.flags,
            part.method,
            0,
            0,
            crc,
            len(part.data),
            size,
            len(name),
            0,
            0,
            0,
            0,
        )
        directory += struct.pack("<4s6HLLL5H", *fields) + struct.pack("<LL", 0, offset) + name
    entries = len(parts) if count is None else count
    end = struct.pack("<4s4HLLH", b"PK\x05\x06", 0, 0, entries, entries, len(directory), len(body), 0)
    return body + directory + end + tail


def deflated(name: str, data: bytes) -> Part:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Part(name, packer.compress(data) + packer.flush(), 8, crc=zlib.crc32(data), size=len(data))


def parts(program: bytes | None = None, data: bytes = NUMBERS) -> list[Part]:
    return [Part("m/data.pkl", program or root()), Part("m/byteorder", b"little"), Part("m/data/0", data), VERSION]


VERSION = Part("m/version", b"3\n")


def zipped(program: bytes, data: bytes = NUMBERS) -> bytes:
    return packed(parts(program, data))


def legacy(
    program: bytes | None = None,
    *,
    start: bytes = MAGIC,
    facts: bytes = FACTS,
    keys: bytes | None = None,
    tail: bytes = b"",
) -> bytes:
    """The format before PyTorch 1.6."""
    body = program or root(weights=tensor(storage(view=b"N")))
    return start + facts + body + (keys or pickle.dumps(["0"], 2)) + number8(4) + NUMBERS + tail


def number8(value: int) -> bytes:
    return value.to_bytes(8, "little")


def calls(command: str) -> dict[str, bytes]:
    """Pickles that would run ``command``, or something else, in a reader that calls what it is told."""
    run = call("os", "system", text(command))
    code = text(f"__import__('os').system({command!r})")
    name = text("os") + text("system") + b"\x93"  # STACK_GLOBAL
    return {
        "os.system": root(("x", run)),
        "posix.system": root(("x", call("posix", "system", text(command)))),
        "eval, protocol 0": b"(dS'x'\nc__builtin__\neval\n(V" + code[5:] + b"\ntRs.",
        "eval, protocol 2": root(("x", call("__builtin__", "eval", code))),
        "eval, protocol 4": b"\x80\x04\x95" + number8(40) + root(("x", call("builtins", "eval", code)))[2:],
        "exec": root(("x", call("builtins", "exec", code))),
        "getattr": root(("x", call("builtins", "getattr", text("os"), text("system")))),
        "pip.main": root(("x", call("pip", "main", b"]" + text("install") + b"a"))),
        "pkgutil.resolve_name": root(("x", call("pkgutil", "resolve_name", text("os:system")))),
        "torch.utils.collect_env.run": root(("x", call("torch.utils.collect_env", "run", text(command)))),
        "cProfile.run": root(("x", call("cProfile", "run", code))),
        "runpy, subprocess": root(("x", call("subprocess", "Popen", text(command)))),
        "call, then POP": root(before=run + b"0"),
        "call, then POP_MARK": root(before=b"(" + run + b"1"),
        "STACK_GLOBAL": root(("x", name + b"(" + text(command) + b"tR")),
        "STACK_GLOBAL with a missing memo key": root(
            ("x", b"h\x07" + text("system") + b"\x93(" + text(command) + b"tR")
        ),
        "STACK_GLOBAL of no texts": root(("x", number(1) + text("system") + b"\x93)R")),
        "INST": root(("x", b"(" + text(command) + b"ios\nsystem\n")),
        "OBJ": root(("x", b"(cos\nsystem\n" + text(command) + b"o")),
        "NEWOBJ": root(("x", b"csubprocess\nPopen\n" + text(command) + b"\x85\x81")),
        "NEWOBJ_EX": root(("x", b"csubprocess\nPopen\n" + text(command) + b"\x85}\x92")),
        "class of an unknown package": root(("x", call("trainer.state", "State"))),
        "new object of an unknown package": root(("x", b"ctrainer\nState\n)\x81")),
        "BUILD of a class": root(("x", b"ctrainer\nState\n}b")),
        "nested loads": root(("x", call("torch.storage", "_load_from_bytes", b"C\x03abc"))),
        "pickle.loads": root(("x", call("_pickle", "loads", b"C\x03abc"))),
        "whole module": root(("x", b"ctorch.nn.modules.linear\nLinear\n)\x81")),
        "rebuild through another function": root(
            ("x", call("torch._tensor", "_rebuild_from_type_v2", b"cos\nsystem\n", b"N", text(command) + b"\x85", b"}"))
        ),
        "function of an allowed name's module": root(("x", call("torch._utils", "_import_dotted_name", text("os")))),
        "dotted name": root(("x", call("collections", "OrderedDict.__init__.__globals__"))),
        "a storage called": root(("x", call("torch", "FloatStorage", number(4)))),
        "payload, then garbage": root(("x", run))[:-1] + b"\xff\xfe\xfd",
        "extension registry": root(("x", b"\x82\x01")),
        "next buffer": root(("x", b"\x97")),
    }


def misuses() -> dict[str, bytes]:
    """Pickles that call nothing and are wrong all the same."""
    doubling = b"".join(b"](" + (b"h" + bytes([n])) * 10 + b"eq" + bytes([n + 1]) for n in range(30))
    laughs = b"]" + text("lol") + b"aq\x00" + doubling
    return {
        "billion laughs": b"\x80\x02" + laughs + b"0" * 31 + mapping(("a", tensor()), ("x", b"h\x1e")) + b".",
        "endless list": b"\x80\x02" + mapping(("a", tensor()), ("x", b"]q\x00h\x00a")) + b".",
        "nested 100,000 deep": b"\x80\x02" + mapping(("a", tensor()), ("x", b"]" * 100_000 + b"a" * 99_999)) + b".",
        "tuples 100,000 deep": b"\x80\x02" + mapping(("a", tensor()), ("x", b")" + b"\x85" * 100_000)) + b".",
        "deep tuple as a key": root(("x", b"}" + b")" + b"\x85" * 100_000 + b"Ns")),
        "list as a key": root(("x", b"}]Ns")),
        "two million steps": root(before=b"N0" * 1_000_000),
        "a million sets": root(before=b"\x8f0" * 400_000),
        "a million memos": root(before=b"N" + b"\x94" * 800_000 + b"0"),
        "marks without end": b"\x80\x02" + b"(" * 1_000_000 + b".",
        "whole number of 4 GB": root(before=b"\x8b" + b"\xff\xff\xff\x7f" + b"1" * 100),
        "whole number of 1 MB": root(before=b"\x8b" + (1_000_000).to_bytes(4, "little") + b"1" * 1_000_000 + b"0"),
        "digits without end": root(before=b"I" + b"9" * 1_000_000 + b"\n0"),
        "text of 2**62 bytes": root(before=b"\x8d" + number8(2**62) + b"a"),
        "text that is no UTF-8": root(before=b"X\x02\x00\x00\x00\xff\xfe0"),
        "SETITEM on a list": root(("x", b"]" + text("a") + b"Ns")),
        "SETITEMS on a tensor": root(weights=tensor() + b"(" + text("a") + b"Nu"),
        "SETITEMS of three": root(("x", b"}(NNNu")),
        "APPEND to a dictionary": root(("x", b"}Na")),
        "ADDITEMS to a list": root(("x", b"](N\x90")),
        "BUILD of a list": root(("x", b"]}b")),
        "missing memo": root(("x", b"h\x63")),
        "empty stack": b"\x80\x020000.",
        "no mark": b"\x80\x02Nt.",
        "STOP too early": b"\x80\x02(.",
        "two values": b"\x80\x02NN.",
        "no STOP": root()[:-1],
        "behind STOP": root() + b"N.",
        "no tensors": b"\x80\x02" + mapping(("x", number(1))) + b".",
        "not a dictionary": b"\x80\x02N.",
        "tensor called twice": b"\x80\x02" + mapping(("a.b", tensor()), ("a", mapping(("b", tensor())))) + b".",
        "name that drives terminals": b"\x80\x02" + mapping(("\x1b[2J", tensor())) + b".",
        "persistent id that is text": root(weights=tensor(text("0") + b"Q")),
        "old persistent id": root(weights=tensor(b"P0\n")),
        "storage of no class": root(weights=tensor(storage(kind="torch\nfloat32"))),
        "quantised storage": root(weights=tensor(storage(kind="torch\nQUInt8Storage"))),
        "storage beyond its bytes": root(weights=tensor(storage(numel=5))),
        "storage of 2**62": root(weights=tensor(storage(numel=2**62))),
        "negative storage": root(weights=tensor(storage(numel=-1))),
        "storage that is absent": root(weights=tensor(storage("7"))),
        "storage key that climbs": root(weights=tensor(storage("../data.pkl"))),
        "shape beyond": root(weights=tensor(shape=sizes(5))),
        "offset beyond": root(weights=tensor(offset=1)),
        "negative offset": root(weights=tensor(offset=-1)),
        "stride beyond": root(weights=tensor(shape=sizes(2, 2), stride=sizes(4, 1))),
        "negative stride": root(weights=tensor(shape=sizes(2), stride=sizes(-1))),
        "huge stride": root(weights=tensor(shape=sizes(2), stride=sizes(2**62))),
        "shape of 2**62": root(weights=tensor(shape=sizes(2**62, 8), stride=sizes(0, 0))),
        "expanded without end": root(weights=tensor(shape=sizes(2**31), stride=sizes(0))),
        "fewer strides": root(weights=tensor(shape=sizes(2, 2))),
        "65 dimensions": root(weights=tensor(shape=sizes(*[1] * 65), stride=sizes(*[1] * 65))),
        "shape of floats": root(weights=tensor(shape=b"G?\xf0\x00\x00\x00\x00\x00\x00\x85")),
        "shape of truths": root(weights=tensor(shape=b"\x88\x85")),
        "conjugated": root(weights=tensor(tail=mapping(("conj", b"\x88")))),
        "tensor of three": root(weights=call("torch._utils", "_rebuild_tensor_v2", storage(), number(0), sizes(4))),
        "parameter of nothing": root(weights=call("torch._utils", "_rebuild_parameter", b"N", b"\x88", b"N")),
        "OrderedDict of a text": root(("x", call("collections", "OrderedDict", text("ab")))),
        "pickle of another program": pickle.dumps({"a": list(range(1000))}),
    }


def zips() -> dict[str, bytes]:
    """Zip files that are wrong around a sound pickle."""
    good, (program, order, data, version) = parts(), parts()
    bomb = deflated("m/data/1", b"\0" * 10_000_000)
    garbage = Part("m/data/1", b"\xff" * 40)
    return {
        "two data.pkl": packed([*good, program]),
        "two folders": packed([*good, Part("n/data.pkl", root())]),
        "extra pickle": packed([*good, Part("m/extra.pkl", root())]),
        "TorchScript": packed([*good, Part("m/constants.pkl", root()), Part("m/code/x.py", b"")]),
        "no folder": packed([Part("data.pkl", root()), Part("data/0", NUMBERS)]),
        "no data.pkl": packed([order, data]),
        "climbing entry": packed([*good, Part("m/../../x", b"")]),
        "absolute entry": packed([*good, Part("/etc/x", b"")]),
        "backslash": packed([*good, Part("m/data\\..\\x", b"")]),
        "name with NUL": packed([*good, Part("m/data/1\0", b"")]),
        "name of others": packed([*good, Part("m/readme.txt", b"")]),
        "wrong CRC": packed([program, order, replace(data, crc=1), version]),
        "wrong CRC of the pickle": packed([replace(program, crc=1), order, data, version]),
        "altered number": zipped(root()).replace(NUMBERS, NUMBERS[::-1]),
        "local name differs": packed([program, order, replace(data, local_name="m/data/9"), version]),
        "local size differs": packed([program, order, replace(data, local_size=15), version]),
        "local CRC differs": packed([program, order, replace(data, local_crc=5), version]),
        "local flags differ": packed([program, order, replace(data, local_flags=2), version]),
        **{
            f"flag {flag:#x}": packed([program, order, replace(data, flags=flag), version])
            for flag in (0x1, 0x10, 0x20, 0x40, 0x2000)
        },
        "method 12": packed([program, order, Part("m/data/0", NUMBERS, 12, size=16, crc=0), version]),
        "stored with two sizes": packed([program, order, replace(data, size=17), version]),
        "bomb": packed([program, order, data, bomb]),
        "bomb that lies": packed([program, order, data, replace(bomb, size=1000)]),
        "deflated garbage": packed([program, order, data, replace(garbage, method=8, size=90, crc=0)]),
        "overlap": packed(good, shift=-10),
        "entries that share bytes": _shared(),
        "offset beyond": packed(good, shift=10_000),
        "count too small": packed(good, count=3),
        "count too large": packed(good, count=5),
        "tail": packed(good, tail=b"tail"),
        "no end": zipped(root())[:-22],
        "pickle in front": root() + zipped(root()),
        "big-endian": packed([program, replace(order, data=b"big"), data, version]),
        "zip64 that contradicts": _contradicting(),
        "empty": packed([]),
    }


def _shared() -> bytes:
    """Two entries of the directory that name one local header."""
    data = bytearray(zipped(root()))
    first = data.find(b"PK\x01\x02")
    second = data.find(b"PK\x01\x02", first + 4)
    third = data.find(b"PK\x01\x02", second + 4)
    offset = data[second + 42 : second + 46]
    data[third + 42 : third + 46] = offset
    return bytes(data)


def _contradicting() -> bytes:
    data = zipped(root())
    directory = data.find(b"PK\x01\x02")
    end = data[-22:]
    records = struct.pack(
        "<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 3, 3, len(data) - 22 - directory, directory
    ) + struct.pack("<4sLQL", b"PK\x06\x07", 0, len(data) - 22, 1)
    return data[:-22] + records + end


def legacies(command: str) -> dict[str, bytes]:
    """Files of the old format that are wrong."""
    run = call("os", "system", text(command))
    good = legacy()
    return {
        "magic made by eval": legacy(start=b"\x80\x02" + call("builtins", "eval", text("1")) + b"."),
        "payload in the version": legacy(start=MAGIC[:15] + b"\x80\x02" + run + b"."),
        "payload in the facts": legacy(facts=b"\x80\x02" + run + b"."),
        "payload in the keys": legacy(keys=b"\x80\x02" + run + b"."),
        "payload in the sixth pickle": legacy(tail=b"\x80\x02" + run + b"."),
        "payload after the keys": legacy(keys=pickle.dumps(["0"], 2) + b"\x80\x02" + run + b"."),
        "wrong magic": legacy(start=pickle.dumps(1, 2) * 2),
        "unknown version": legacy(start=MAGIC[:15] + pickle.dumps(1002, 2)),
        "big-endian": legacy(facts=pickle.dumps({"little_endian": False}, 2)),
        "facts no dictionary": legacy(facts=pickle.dumps([1], 2)),
        "keys no list": legacy(keys=pickle.dumps("0", 2)),
        "unknown key": legacy(keys=pickle.dumps(["0", "1"], 2)),
        "key twice": legacy(keys=pickle.dumps(["0", "0"], 2)),
        "no key": legacy(keys=pickle.dumps([], 2)),
        "storage longer than told": good.replace(number8(4) + NUMBERS, number8(5) + NUMBERS),
        "cut numbers": good[:-1],
        "tail": good + b"\0",
        "zip behind": good + zipped(root()),
        "view beyond": legacy(root(weights=tensor(storage(view=pickled_view(2, 3))))),
        "storage of two sizes": legacy(
            root(("b", tensor(storage(numel=3, view=b"N"))), weights=tensor(storage(view=b"N")))
        ),
        "persistent id of new files": legacy(root()),
    }


def pickled_view(start: int, count: int) -> bytes:
    return b"(" + text("v") + number(start) + number(count) + b"t"


def hostile(command: str) -> dict[str, bytes]:
    """Every hostile file, by what is wrong with it."""
    programs = {**calls(command), **misuses()}
    return {
        **{f"raw: {name}": program for name, program in calls(command).items()},
        **{f"zip: {name}": zipped(program) for name, program in programs.items()},
        **{f"old: {name}": legacy(program) for name, program in calls(command).items()},
        **{f"zip file: {name}": data for name, data in zips().items()},
        **{f"old file: {name}": data for name, data in legacies(command).items()},
    }

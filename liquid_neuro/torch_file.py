"""A reader of torch's .pt files that runs nothing: it takes tensors and refuses everything else.

A .pt file is a zip of raw storages and one pickle, `data.pkl`. A pickle is a small program, and Python's own reader lets it call any
function. This file walks that program itself and knows only what a dictionary of tensors needs: containers, numbers, texts, and the few
names that torch writes for tensors. Torch is not needed. Strides are obeyed (a saved view is read as the view), both byte orders are read.
Every other file (a whole pickled module, another class, a damaged or hostile file) is a ValueError of one sentence.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAXIMUM_PICKLE_BYTES = 4 << 20
MAXIMUM_ELEMENTS = 1 << 28
HINT = "save the weights alone with torch.save(model.state_dict(), path)"

_STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_DTYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "bfloat16",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "?",
}


@dataclass(frozen=True)
class _Name:
    """A global of the pickle that is known to be harmless: it is never looked up, only compared."""

    module: str
    name: str


@dataclass(frozen=True)
class _Storage:
    """A raw storage of the zip: its key, element type and number of elements."""

    key: str
    dtype: str
    elements: int


class _Mark:
    """The pickle's mark on the stack."""


_ORDERED_DICT = _Name("collections", "OrderedDict")
_REBUILD_TENSOR = _Name("torch._utils", "_rebuild_tensor_v2")
_REBUILD_PARAMETER = _Name("torch._utils", "_rebuild_parameter")
_SIZE = _Name("torch", "Size")
_KNOWN = {_ORDERED_DICT, _REBUILD_TENSOR, _REBUILD_PARAMETER, _SIZE}


def read_tensors(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a file written by torch.save(model.state_dict(), path), by name.

    A dictionary under "state_dict" or "model_state_dict" (as training loops write it) is taken instead of its surroundings.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _state_dict(_Reader(archive).value())
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f'"{path}" must be a whole .pt file of torch 1.6 or newer, but is not ({error!s:.120}); {HINT}') from None
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError, UnicodeError, MemoryError):
        raise ValueError(f'"{path}" must be a .pt file with tensors, but its pickle is damaged; {HINT}') from None
    except ValueError as error:
        raise ValueError(f'"{path}" must be a .pt file with tensors alone, but {error!s:.300}') from None


def _state_dict(value: Any) -> dict[str, npt.NDArray[Any]]:
    for name in ("state_dict", "model_state_dict"):
        if isinstance(value, dict) and isinstance(value.get(name), dict):
            value = value[name]
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__} instead of a dictionary; {HINT}")
    tensors = {name: item for name, item in value.items() if isinstance(item, np.ndarray)}
    others = [str(name) for name in value if name not in tensors]
    if others or not all(isinstance(name, str) for name in tensors):
        raise ValueError(f"holds other things than tensors ({', '.join(others[:5])}); {HINT}")
    return tensors


class _Reader:
    """One pass over the pickle: a stack, a memo, and the tensors it names."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        pickles = [item for item in archive.namelist() if item.rsplit("/", 1)[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"holds {len(pickles)} members data.pkl instead of 1")
        self.archive = archive
        self.root = pickles[0][: -len("data.pkl")]
        self.program = self.member("data.pkl", MAXIMUM_PICKLE_BYTES)
        self.big_endian = self.root + "byteorder" in archive.namelist() and self.member("byteorder", 16).strip() == b"big"
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.elements = 0

    def member(self, name: str, limit: int) -> bytes:
        """The bytes of one member; torch never compresses, so that no member can be larger than the file."""
        info = self.archive.getinfo(self.root + name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"its member {name} is compressed, which torch never does")
        if info.file_size > limit:
            raise ValueError(f"its member {name} has {info.file_size} bytes, more than {limit}")
        return self.archive.read(info)

    def value(self) -> Any:
        """What the pickle builds."""
        for opcode, argument, _ in pickletools.genops(io.BytesIO(self.program)):
            if opcode.name == "STOP":
                return self.stack.pop()
            action = _ACTIONS.get(opcode.name)
            if action is None:
                raise ValueError(f"uses the pickle operation {opcode.name}, which no dictionary of tensors needs; {HINT}")
            action(self, argument)
        raise ValueError("its pickle has no end")

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def to_mark(self) -> list[Any]:
        """Everything above the last mark, taken off together with it."""
        place = len(self.stack) - 1
        while not isinstance(self.stack[place], _Mark):  # from the top: a long stack costs nothing
            place -= 1
            if place < 0:
                raise IndexError("no mark")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def take(self, count: int) -> list[Any]:
        """The last `count` values, taken off."""
        if len(self.stack) < count:
            raise IndexError("stack is empty")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def name(self, module: str, name: str) -> None:
        """A global: one of the few known ones, or a refusal."""
        known = _Name(module, name)
        storage = module in ("torch", "torch.storage") and name in (*_STORAGES, "UntypedStorage")
        if not (known in _KNOWN or storage or (module == "torch" and name in _DTYPES)):
            raise ValueError(f"needs {module}.{name}, which is no tensor; {HINT}")
        self.push(known)

    def stack_name(self) -> None:
        """A global whose module and name stand on the stack."""
        module, name = self.take(2)
        self.name(str(module), str(name))

    def persistent(self) -> None:
        """A storage: ("storage", type, key, device, number of elements)."""
        kind, storage, key, _, elements = self.stack.pop()
        if kind != "storage" or not isinstance(storage, _Name) or not isinstance(key, str) or not isinstance(elements, int):
            raise TypeError("not a storage")
        self.push(_Storage(key, _STORAGES.get(storage.name, "u1"), elements))

    def call(self) -> None:
        """One of the known functions on its arguments."""
        function, arguments = self.take(2)
        if function == _ORDERED_DICT and arguments == ():
            self.push({})
        elif function == _REBUILD_TENSOR:
            self.push(self.tensor(*arguments[:4]))
        elif function == _REBUILD_PARAMETER:
            self.push(arguments[0])
        elif function == _SIZE:
            self.push(tuple(arguments[0]))
        else:
            raise TypeError("not a call that torch writes")

    def tensor(self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> npt.NDArray[Any]:
        """A copy of the view of a storage with these sizes and strides (in elements)."""
        numbers = (storage.elements, offset, *shape, *strides)
        fit = len(shape) == len(strides) <= 32 and all(type(number) is int and 0 <= number < 1 << 48 for number in numbers)
        if not fit:
            raise ValueError("a tensor has sizes and strides that do not fit together")
        count = math.prod(shape)
        self.elements += count
        if self.elements > MAXIMUM_ELEMENTS:
            raise ValueError(f"its tensors have more than {MAXIMUM_ELEMENTS} elements")
        flat = self.elements_of(storage)
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
        if count and last >= len(flat):
            raise ValueError(f"a tensor reaches to element {last} of a storage of {len(flat)}")
        if count == 0:
            return np.zeros(shape, dtype=flat.dtype)
        steps = tuple(stride * flat.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, steps).copy()

    def elements_of(self, storage: _Storage) -> npt.NDArray[Any]:
        """A storage's elements in the machine's byte order; bfloat16 as float32."""
        raw = self.member(f"data/{storage.key}", 1 << 40)
        code = "u2" if storage.dtype == "bfloat16" else storage.dtype
        flat: npt.NDArray[Any] = np.frombuffer(raw, dtype=np.dtype(code).newbyteorder(">" if self.big_endian else "<"))
        flat = flat.astype(code)
        if storage.dtype == "bfloat16":
            return (flat.astype(np.uint32) << 16).view(np.float32)
        return flat

    def set_items(self, items: list[Any]) -> None:
        """Pairs into the dictionary on top of the stack."""
        target, names = self.stack[-1], items[::2]
        if not isinstance(target, dict) or not all(isinstance(name, str | int) for name in names):
            raise TypeError("not a dictionary by names or numbers")
        target.update(zip(names, items[1::2]))

    def append(self, items: list[Any]) -> None:
        """Values to the end of the list on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("not a list")
        target.extend(items)


Action = Callable[[_Reader, Any], Any]
_PUSHED = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "INT", "FLOAT")
_ACTIONS: dict[str, Action] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda reader, argument: None),
    **dict.fromkeys(_PUSHED, lambda reader, argument: reader.push(argument)),
    "MARK": lambda reader, _: reader.push(_Mark()),
    "NONE": lambda reader, _: reader.push(None),
    "NEWTRUE": lambda reader, _: reader.push(True),
    "NEWFALSE": lambda reader, _: reader.push(False),
    "EMPTY_DICT": lambda reader, _: reader.push({}),
    "EMPTY_LIST": lambda reader, _: reader.push([]),
    "EMPTY_TUPLE": lambda reader, _: reader.push(()),
    "TUPLE": lambda reader, _: reader.push(tuple(reader.to_mark())),
    "TUPLE1": lambda reader, _: reader.push(tuple(reader.take(1))),
    "TUPLE2": lambda reader, _: reader.push(tuple(reader.take(2))),
    "TUPLE3": lambda reader, _: reader.push(tuple(reader.take(3))),
    "SETITEM": lambda reader, _: reader.set_items(reader.take(2)),
    "SETITEMS": lambda reader, _: reader.set_items(reader.to_mark()),
    "APPEND": lambda reader, _: reader.append(reader.take(1)),
    "APPENDS": lambda reader, _: reader.append(reader.to_mark()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda reader, place: reader.memo.__setitem__(place, reader.stack[-1])),
    "MEMOIZE": lambda reader, _: reader.memo.__setitem__(len(reader.memo), reader.stack[-1]),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda reader, place: reader.push(reader.memo[place])),
    "GLOBAL": lambda reader, argument: reader.name(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda reader, _: reader.stack_name(),
    "BINPERSID": lambda reader, _: reader.persistent(),
    "REDUCE": lambda reader, _: reader.call(),
    "BUILD": lambda reader, _: reader.take(1),  # an OrderedDict's _metadata: versions of torch's modules, of no use here
}

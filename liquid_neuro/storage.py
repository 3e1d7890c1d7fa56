"""Networks as files: safetensors with everything else in a JSON header.

Tensors: every parameter as float64 under "parameters.<name>", the wiring's lists as integers under "wiring.<name>". The metadata hold
one JSON text under "liquid_neuro": format version, cell, sizes, solver, settings (ncps' epsilon, softplus, mode, activation, dialect),
interface and time unit. A file is read back bit for bit; equal networks give equal bytes. A safetensors file holds numbers alone: reading
one runs nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors
from safetensors.numpy import save as to_bytes

from liquid_neuro.archive import archive_kind, write_atomically
from liquid_neuro.checks import check_path
from liquid_neuro.network import CfCSettings, ClosedForm, Exact, Fused, Interface, LiquidNetwork, LTCSettings, Solver
from liquid_neuro.wiring import Wiring

KEY = "liquid_neuro"
FORMAT_VERSION = 1
_LISTS = {
    "source": np.int32,
    "target": np.int32,
    "polarity": np.int8,
    "sensory_source": np.int32,
    "sensory_target": np.int32,
    "sensory_polarity": np.int8,
    "roles": np.int8,
}
_GAPS = {"gap_source": np.int32, "gap_target": np.int32}  # in the file where there are gap junctions
_HEADER = ("format_version", "cell", "inputs", "units", "outputs", "solver", "settings", "interface", "time_unit_s", "wiring")
Value = TypeVar("Value")


def save(network: LiquidNetwork, path: str | Path) -> Path:
    """Write a network to `path` (.safetensors by custom) and return the path. `load` gives it back bit for bit."""
    if not isinstance(network, LiquidNetwork):
        raise ValueError(f"network must be a LiquidNetwork, but is {network!r:.80}")
    path = check_path("path", path)
    tensors: dict[str, npt.NDArray[Any]] = {f"parameters.{name}": value for name, value in network.parameters.items()}
    wiring = network.wiring
    if wiring is not None:
        tensors |= {f"wiring.{name}": getattr(wiring, name) for name in (*_LISTS, *(_GAPS if wiring.gap_count else ()))}
    header = {
        "format_version": FORMAT_VERSION,
        "cell": network.cell,
        "inputs": network.inputs,
        "units": network.units,
        "outputs": network.outputs,
        "solver": {"name": type(network.solver).__name__, **asdict(network.solver)},
        "settings": asdict(network.settings),
        "interface": asdict(network.interface),
        "time_unit_s": network.time_unit_s,
        "wiring": None if wiring is None else {"outputs": wiring.outputs, "layers": wiring.layers},
    }
    ordered = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    content = to_bytes(ordered, metadata={KEY: json.dumps(header, allow_nan=False, default=float)})

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    return write_atomically(path, write)


def load(path: str | Path) -> LiquidNetwork:
    """The network of a file written by `save`. A missing, damaged or foreign file is a ValueError of one sentence."""
    if not check_path("path", path).is_file():
        raise ValueError(f'"{path}" must be a file written by save, but there is none')
    kind = archive_kind(path)
    if kind:
        raise ValueError(f'"{path}" must be a network file (.safetensors), but is a {kind} file; check the path')
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if KEY not in metadata:
                raise ValueError(
                    f'"{path}" must be written by liquid_neuro.save, but is another safetensors file; import ncps files with load_ncps'
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, OSError, TypeError, KeyError, UnicodeError, MemoryError, AttributeError) as error:
        raise ValueError(f'"{path}" must be a whole safetensors file, but is not ({error!s:.200})') from None
    try:
        return _network(json.loads(metadata[KEY]), tensors)
    except RecursionError:
        raise ValueError(f'"{path}" must hold a sound network, but its header is nested too deeply') from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f'"{path}" must hold a sound network, but does not: {error}') from None


def _network(header: Any, tensors: dict[str, npt.NDArray[Any]]) -> LiquidNetwork:
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    version = header.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(f"format_version must be {FORMAT_VERSION}, but is {version!r}; update liquid-neuro")
    missing, unknown = [name for name in _HEADER if name not in header], sorted(set(header) - set(_HEADER))
    if missing or unknown:
        raise ValueError(f"its header must hold {', '.join(_HEADER)}, but lacks {missing} and adds {unknown}")
    parameters = {name[len("parameters.") :]: value for name, value in tensors.items() if name.startswith("parameters.")}
    if any(value.dtype != np.float64 for value in parameters.values()):
        raise ValueError("parameters must be float64")
    for name in ("cell", "inputs", "units", "outputs"):
        if not isinstance(header[name], str if name == "cell" else int):
            raise ValueError(f"{name} must be {'a text' if name == 'cell' else 'an integer'}, but is {header[name]!r}")
    known = len(parameters)
    if header["wiring"] is not None:
        known += len(_LISTS) + len(_GAPS) * any(f"wiring.{name}" in tensors for name in _GAPS)
    if known != len(tensors):
        raise ValueError("it holds tensors that belong neither to the parameters nor to a wiring")
    return LiquidNetwork(
        cell=header["cell"],
        inputs=header["inputs"],
        units=header["units"],
        outputs=header["outputs"],
        parameters=parameters,
        settings=_built(LTCSettings, header["settings"]) if header["cell"] == "ltc" else _built(CfCSettings, header["settings"]),
        solver=_solver(header["solver"]),
        wiring=_wiring(header, tensors),
        interface=_built(Interface, header["interface"]),
        time_unit_s=_number(header["time_unit_s"], "time_unit_s"),
    )


def _solver(content: Any) -> Solver:
    classes: dict[str, type[Fused] | type[Exact] | type[ClosedForm]] = {item.__name__: item for item in (Fused, Exact, ClosedForm)}
    if not isinstance(content, dict) or content.get("name") not in classes:
        raise ValueError(f"solver must be one of {', '.join(classes)}")
    return _built(classes[content["name"]], {name: value for name, value in content.items() if name != "name"})


def _wiring(header: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> Wiring | None:
    content = header["wiring"]
    if content is None:
        return None
    if not isinstance(content, dict) or set(content) != {"outputs", "layers"} or not isinstance(content["outputs"], int):
        raise ValueError("wiring must hold outputs and layers")
    lists = {}
    gaps = _GAPS if any(f"wiring.{name}" in tensors for name in _GAPS) else {}
    for name, dtype in {**_LISTS, **gaps}.items():
        if f"wiring.{name}" not in tensors or tensors[f"wiring.{name}"].dtype != dtype:
            raise ValueError(f"wiring.{name} must be there and be {np.dtype(dtype)}")
        lists[name] = tensors[f"wiring.{name}"]
    layers = content["layers"]
    if not isinstance(layers, list) or not all(isinstance(unit, int) for layer in layers for unit in layer):
        raise ValueError("wiring.layers must be lists of unit numbers")
    return Wiring(inputs=header["inputs"], units=header["units"], outputs=content["outputs"], layers=tuple(layers), **lists)


def _built(kind: type[Value], content: Any) -> Value:
    """A settings object from its JSON form, every field present and of the type of its default."""
    names = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(content, dict) or set(content) != set(names):
        raise ValueError(f"{kind.__name__} must hold {', '.join(names) or 'nothing'}, but holds {content!r:.200}")
    return kind(**{name: _as_default(f"{kind.__name__}.{name}", content[name], default) for name, default in names.items()})


def _as_default(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        if not isinstance(value, list):
            raise ValueError(f"{name} must be a list, but is {value!r:.80}")
        if name.split("_")[-1] in ("mean", "scale"):
            return tuple(_number(item, name) for item in value)
        if not all(isinstance(item, str) for item in value):
            raise ValueError(f"{name} must be a list of texts")
        return tuple(value)
    if isinstance(default, float):
        return _number(value, name)
    if type(value) is not type(default):
        raise ValueError(f"{name} must be {type(default).__name__}, but is {value!r:.80}")
    return value


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, but is {value!r:.80}")
    return float(value)

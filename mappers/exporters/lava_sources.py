"""The Python files and the README of an exported Lava folder: templates, and the integer programs' own source copied in."""

from __future__ import annotations

import builtins
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hardware_profiles import fixed_point
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.exporters import ExportError

if TYPE_CHECKING:
    from liquid_neuro.cells import Program

TEMPLATES = Path(__file__).parent / "lava_template"

PROGRAMS_HEADER = '''"""The neurons' integer programs and the primitives that they use: the same source that the chip simulator runs.

Straight-line integer arithmetic over NumPy int64 arrays; one rounding rule, half up.
"""

from __future__ import annotations

from typing import Any
'''

CLASS_TEMPLATE = '''

class @@CLASS@@(Compartments):
    """Compartments that run the program "@@PROGRAM@@".

    Ports: @@PORTS@@.
    Parameters: @@PARAMETERS@@.
    Tables: @@TABLES@@.
    """

    ports = (@@PORT_NAMES@@)


@implements(proc=@@CLASS@@, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class Py@@CLASS@@(CompartmentsModel):
    ports = (@@PORT_NAMES@@)
@@PORT_TYPES@@
'''

HOST = {"input": "the host's samples", "elapsed": "the host's timespans"}

PORT_TYPE = """    @@PORT@@_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    @@PORT@@_sum: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)"""


def program(name: str) -> Program:
    """The integer program of that name; ExportError where there is none."""
    from liquid_neuro.cells import PROGRAMS

    if name not in PROGRAMS:
        raise ExportError(f'program must be one of {", ".join(sorted(PROGRAMS))}, but is "{name}"; this network cannot be exported to Lava')
    return PROGRAMS[name]


def process_name(program_name: str) -> str:
    """The class of a program's process: "ltc.gate" -> "LtcGate"."""
    return "".join(word.capitalize() for word in program_name.replace(".", "_").split("_"))


def write_sources(folder: Path, quantized: QuantizedNetwork, settings: Mapping[str, Any], proof: str) -> None:
    """Write every file of the export that is not a number: package, programs, process classes, run.py, README.md, .python-version."""
    from mappers.exporters.lava_listing import listings_text

    processes = folder / "network" / "processes"
    processes.mkdir(parents=True)
    names = sorted({population.program for population in quantized.populations if population.program})
    _put(folder / "run.py", _template("run.py"))
    _put(folder / "network" / "__init__.py", "")
    own = settings["processes"] == "own"
    _put(folder / "network" / "graph.py", _template("graph.py", CONNECT=_words(quantized, settings)["connect"]))
    _put(folder / "network" / "neurons.py", _template("own_neurons.py" if own else "library_neurons.py"))
    _put(processes / "__init__.py", "")
    if own:
        _put(folder / "network" / "programs.py", programs_source({name: program(name).function for name in names}))
        _put(processes / "compartments.py", _template("compartments.py") + "".join(_process_classes(name) for name in names))
    _put(processes / "recorder.py", _recorder(settings))
    if own:
        _put(folder / "programs.txt", listings_text(quantized))
    kept = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    digests = (f'    "{name}": "{hashlib.sha256((folder / name).read_bytes()).hexdigest()}",' for name in kept)
    _put(folder / "network" / "content.py", _template("content.py", FILES="\n".join(digests)))
    _put(folder / "README.md", _readme(quantized, settings, proof))
    # Version managers offer only the versions that such a file names to a program started below it.
    _put(folder / ".python-version", "3.10\n")


def programs_source(functions: Mapping[str, Callable[..., Any]]) -> str:
    """A module that holds the primitives, the functions with everything of ours that they call, and PROGRAMS: name -> function."""
    parts: dict[str, str] = {}
    for primitive in fixed_point.PRIMITIVES:
        parts[primitive.__name__] = inspect.getsource(primitive)
    for function in functions.values():
        _collect(function, parts)
    table = "".join(f'    "{name}": {function.__name__},\n' for name, function in functions.items())
    return PROGRAMS_HEADER + "\n\n" + "\n\n".join(part.rstrip() + "\n" for part in parts.values()) + "\n\nPROGRAMS = {\n" + table + "}\n"


def _collect(function: Callable[..., Any], parts: dict[str, str]) -> None:
    """Add a function's source to the parts, after the source of what it refers to by global name. Names are unique over the cells."""
    if function.__name__ in parts:
        if parts[function.__name__] != textwrap.dedent(inspect.getsource(function)):
            raise ExportError(f'integer programs must have distinct names, but two differ under "{function.__name__}"; rename one')
        return
    code, values = function.__code__, function.__globals__
    for name in code.co_names:
        value = values.get(name)
        if name not in values or name in parts or hasattr(builtins, name):
            continue
        if inspect.isfunction(value):
            _collect(value, parts)
        elif isinstance(value, int | np.integer):
            parts[name] = f"{name} = {int(value)}\n"
        else:
            what = f'{function.__name__} uses "{name}", a {type(value).__name__}'
            raise ExportError(f"integer programs may use functions and integer constants, but {what}")
    parts[function.__name__] = textwrap.dedent(inspect.getsource(function))


def _process_classes(name: str) -> str:
    ports = program(name).ports
    return _filled(
        CLASS_TEMPLATE,
        CLASS=process_name(name),
        PROGRAM=name,
        PORTS=", ".join(ports),
        PARAMETERS=", ".join(program(name).parameters) or "none",
        TABLES=", ".join(program(name).tables) or "none",
        PORT_NAMES=", ".join(f'"{port}"' for port in ports) + ("," if len(ports) == 1 else ""),
        PORT_TYPES="\n".join(_filled(PORT_TYPE, PORT=port) for port in ports),
    )


def _recorder(settings: Mapping[str, Any]) -> str:
    names = [group["name"] for group in settings["groups"]]
    port = "    {0}_{1}: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)"
    return _template(
        "recorder.py",
        GROUPS="\n".join(f"    {position}  {name}" for position, name in enumerate(names)),
        PORTS="\n".join(port.format(kind, position) for position in range(len(names)) for kind in ("state", "sent")),
    )


def _readme(quantized: QuantizedNetwork, settings: Mapping[str, Any], proof: str) -> str:
    network = quantized.network
    cores = len({core for group in settings["groups"] for core in group["cores"] if core >= 0})
    populations = ["| population | program | compartments | state | sends | cores |", "|---|---|---|---|---|---|"]
    for population in settings["populations"]:
        own = [core for group in settings["groups"] if group["population"] == population["name"] for core in group["cores"]]
        on = ["host" if core < 0 else str(core) for core in own]
        state = f"{population['state_bits']} bits, {population['state_fraction_bits']} of them fraction"
        sends = f"tick {population['first_tick']}, then every {population['period']}; threshold {population['threshold']}"
        sends += "; half a turn ahead" if population["prediction"] else ""
        what = population["program"] or HOST[population["name"]]
        populations.append(f"| {population['name']} | {what} | {population['size']} | {state} | {sends} | {', '.join(on)} |")
    projections = ["| from | to | port | synapses | weights |", "|---|---|---|---|---|"]
    for projection in quantized.projections:
        ends = f"{projection.source_population} | {projection.target_population} | {projection.port}"
        projections.append(f"| {ends} | {len(projection.weight)} | {projection.weight_bits} bits, {projection.sign_mode} |")
    kind = {"ltc": "LTC", "cfc": "CfC"}.get(network.cell, network.cell)
    summary = (
        f"{kind} network of {network.units} neurons, {network.inputs} inputs, {network.outputs} outputs, in integers for "
        f"{quantized.profile}: {quantized.compartments} compartments, {quantized.stored_synapses} synapses, "
        f"{cores} core{'' if cores == 1 else 's'}. It stands for {quantized.target}: report its errors against that alone."
    )
    words = _words(quantized, settings)
    return _template(
        "README.md",
        SUMMARY=summary + _measured(quantized),
        FILES=words["files"],
        NEEDS=words["needs"] + (_lengths(quantized) if settings["processes"] == "own" else ""),
        WIDTHS=words["widths"],
        CONNECTION=settings["projections"][0]["process"] if settings["projections"] else "Sparse",
        PROOF=proof,
        POPULATIONS="\n".join(populations),
        PROJECTIONS="\n".join(projections),
        TICKS=str(quantized.ticks_per_sample),
        LASTS=f"{quantized.ticks_per_sample} tick{'' if quantized.ticks_per_sample == 1 else 's'}",
        READ=str(quantized.read_tick),
    )


def _measured(quantized: QuantizedNetwork) -> str:
    """How far it was from its target, where that was measured."""
    error = quantized.notes.get("error")
    if not error or error["of_output_std"] is None:
        return ""
    share = error["of_output_std"]
    return f" On {error['samples']} samples outputs were {error['rms']:.2g} (rms) from it, {share:.2%} of their standard deviation."


def _lengths(quantized: QuantizedNetwork) -> str:
    """A table of the programs that a chip would need."""
    from mappers.exporters.lava_listing import listings

    rows = ["| population | program | instructions | at most in a turn |", "|---|---|---|---|"]
    rows += [f"| {one.population} | {one.program} | {one.length} | {one.steps} |" for one in listings(quantized)]
    return "\n\n" + "\n".join(rows)


def _words(quantized: QuantizedNetwork, settings: Mapping[str, Any]) -> dict[str, str]:
    """What the folder says differently of processes of its own and of the library's: by the heads of the file of words."""
    numbers = {"TICKS": str(quantized.ticks_per_sample), "ACCUMULATOR": str(quantized.accumulator_bits)}
    text = _template(f"{settings['processes']}_words", OUTPUT=quantized.output_population, **numbers)
    parts = [part.partition("\n") for part in text.split("=== ")[1:]]
    return {head: body.rstrip("\n") for head, _, body in parts}


def _template(name: str, **values: str) -> str:
    return _filled((TEMPLATES / f"{name}.txt").read_text(encoding="utf-8"), **values)


def _filled(text: str, **values: str) -> str:
    for name, value in values.items():
        text = text.replace(f"@@{name}@@", value)
    return text


def _put(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")

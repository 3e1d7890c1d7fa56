"""The C functions that run a population, and liquid_step, which runs them all for one sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_neuro.cells import PROGRAMS
from liquid_neuro.quantized_network import IntArray, Population
from mappers.exporters import c99_source
from mappers.exporters.c99_plan import Stream, uniform
from mappers.exporters.c99_source import Code, c_array, identifier, stream_name
from mappers.exporters.c99_values import bytes_of, storage


@dataclass(frozen=True)
class Array:
    """An array of C: its type, name and length; item: bytes of one, 0 for those of an integer type."""

    kind: str
    name: str
    size: int
    item: int = 0

    @property
    def bytes(self) -> int:
        return (self.item or bytes_of(self.kind)) * self.size

    @property
    def declared(self) -> str:
        return f"{self.kind} {self.name}[{self.size}];"


def state_type(population: Population) -> str:
    """The C type of a population's state words."""
    return storage(population.state.lowest, population.state.highest)


def is_unit(population: Population) -> bool:
    """Whether a population's states are states of the network."""
    return bool(population.program) and PROGRAMS[population.program].unit


def kept_arrays(code: Code) -> list[Array]:
    """What lives from sample to sample, the members of liquid_state: states, and messages that thresholds hold back."""
    arrays = []
    for p in code.quantized.populations:
        if _keeps_state(p):
            arrays.append(Array(state_type(p), identifier(p.name), p.size))
        if p.threshold > 1:
            arrays.append(Array(code.message_type(p.name), f"{identifier(p.name)}_sent", p.size))
    return arrays


def local_arrays(code: Code) -> list[Array]:
    """What lives on the stack during a sample."""
    arrays = []
    for p in code.quantized.populations:
        name, kind = identifier(p.name), code.message_type(p.name)
        if not p.program:
            if p.threshold == 1:
                arrays.append(Array(kind, "input_words", p.size))
        elif p.name in code.plan.streams:
            arrays += [Array(kind, f"{name}_a", p.size)] if p.threshold == 1 or code.plan.hears_itself(p.name) else []
            arrays += [Array(kind, f"{name}_b", p.size)] if p.threshold == 1 and code.plan.hears_itself(p.name) else []
            if code.plan.held(p.name):
                arrays.append(Array(f"liquid_{name}_held_t", f"{name}_held", p.size, 4 * len(_ports(code, p))))
    return arrays


def print_population(code: Code, population: Population) -> None:
    """Prints all that is needed to run a population: tables, programs, <population>_hold and <population>_run."""
    name, streams = identifier(population.name), code.plan.streams[population.name]
    c99_source.print_streams(code, population)
    c99_source.print_turn(code, population, passes_message=not is_unit(population) and PROGRAMS[population.program].stateless)
    columns: dict[str, IntArray] = dict(code.columns[population.name])
    for stream in streams:
        if not uniform(stream.counts):
            columns[f"{identifier(stream.gate or stream.source)}_count"] = stream.counts
    if columns:
        code.tables.write_records(f"liquid_{name}_own", f"The compartments of {population.name}.", columns)
    if _keeps_state(population):
        c99_source.print_message(code, population)
    elif population.threshold > 1:
        c99_source.print_sent(code, population)
    if code.plan.held(population.name):
        fields = " ".join(f"int32_t {port};" for port in _ports(code, population))
        code.functions.append(f"/* Sums that last for a sample. */\ntypedef struct {{ {fields} }} liquid_{name}_held_t;")
        code.functions.append(_hold(code, population))
    code.functions.append(_run(code, population))


def _keeps_state(population: Population) -> bool:
    return is_unit(population) or (bool(population.program) and not PROGRAMS[population.program].stateless)


def _ports(code: Code, population: Population) -> list[str]:
    """The ports that something reaches, in order."""
    reached = {port for stream in code.plan.streams[population.name] for port in stream.weights}
    return [port for port in PROGRAMS[population.program].ports if port in reached]


def _heard(code: Code, streams: tuple[Stream, ...]) -> list[str]:
    """The parameters of a function that sums these streams."""
    arrays = [c_array(code.message_type(stream.source), f"{identifier(stream.source)}_sent") for stream in streams]
    gates = [code.quantized.population(stream.gate) for stream in streams if stream.gate]
    arrays += [f"{code.message_type(gate.name)} *{identifier(gate.name)}_held" for gate in gates if gate.threshold > 1]
    return list(dict.fromkeys(arrays))


def _passed(code: Code, streams: tuple[Stream, ...]) -> list[str]:
    """The arguments for `_heard`."""
    names = [f"{identifier(stream.source)}_sent" for stream in streams]
    gates = [code.quantized.population(stream.gate) for stream in streams if stream.gate]
    names += [f"self->{identifier(gate.name)}_sent" for gate in gates if gate.threshold > 1]
    return list(dict.fromkeys(names))


def _loop(code: Code, population: Population, streams: tuple[Stream, ...], start: dict[str, str], parameters: bool) -> list[str]:
    """The declarations and the head of the loop over compartments, up to their sums. parameters: whether their records are read."""
    name = identifier(population.name)
    own = bool(parameters) or any(not uniform(s.counts) for s in streams)
    used = [s for s in streams if s.counts.any()]
    lines = [
        f"const {stream_name(population, s)}_t *{identifier(s.gate or s.source)}_synapse = {stream_name(population, s)};" for s in used
    ]
    lines += ["int32_t i;", "", f"for (i = 0; i < {population.size}; i++) {{"]
    if own:
        lines.append(f"    const liquid_{name}_own_t *own = &liquid_{name}_own[i];")
    lines += [f"    int32_t {port} = {start[port]};" for port in start]
    lines += ["    int32_t j;"] if any(s.index is None for s in used) else []
    lines.append("")
    for stream in streams:
        lines += [f"    {line}" for line in c99_source.sum_lines(code, population, stream)]
    return lines


def _hold(code: Code, population: Population) -> str:
    """<population>_hold: the sums of what does not change while the population runs again and again."""
    name, streams, ports = identifier(population.name), code.plan.held(population.name), _ports(code, population)
    parameters = [*_heard(code, streams), c_array(f"liquid_{name}_held_t", "held", constant=False)]
    lines = _loop(code, population, streams, dict.fromkeys(ports, "0"), parameters=False)
    lines += [f"    held[i].{port} = {port};" for port in ports] + ["}"]
    comment = f"What {population.name} hears that does not change within a sample, summed."
    return _c_function(f"liquid_{name}_hold", comment, parameters, lines)


def _run(code: Code, population: Population) -> str:
    """<population>_run: every compartment once, from the messages before."""
    name, plan, ports = identifier(population.name), code.plan, _ports(code, population)
    held = plan.held(population.name)
    streams = tuple(stream for stream in plan.streams[population.name] if stream not in held)
    start = {port: f"held[i].{port}" if held else "0" for port in ports}
    lines = _loop(code, population, streams, start, parameters=bool(code.columns[population.name]))
    factors = {port: plan.factors[population.name, port] for port in ports}
    given = []
    for part in code.turns[population.name]:
        if part in factors:
            given.append(part if factors[part] == 1 else f"{part} * {factors[part]}")
        else:
            given.append(f"{name}[i]" if part == "state" else f"own->{part}")
    turn = f"liquid_{name}_turn({', '.join(given)})"
    message = code.message_type(population.name)
    old = ", sent[i]" if population.threshold > 1 else ""
    if _keeps_state(population):
        lines += [f"    const int32_t state = {turn};", f"    {name}[i] = ({state_type(population)})state;"]
        lines.append(f"    next[i] = ({message})liquid_{name}_message(state{old});")
    elif population.threshold > 1:
        lines.append(f"    next[i] = ({message})liquid_{name}_sent({turn}{old});")
    else:
        lines.append(f"    next[i] = ({message}){turn};")
    lines.append("}")
    comment = f"Every compartment of {population.name} once."
    return _c_function(f"liquid_{name}_run", comment, _run_parameters(code, population, streams, held), lines)


def _run_parameters(code: Code, population: Population, streams: tuple[Stream, ...], held: tuple[Stream, ...]) -> list[str]:
    name, message = identifier(population.name), code.message_type(population.name)
    parameters = [c_array(state_type(population), name, constant=False)] if _keeps_state(population) else []
    parameters += _heard(code, streams)
    parameters += [c_array(f"liquid_{name}_held_t", "held")] if held else []
    parameters += [c_array(message, "sent")] if population.threshold > 1 else []
    return [*parameters, c_array(message, "next", constant=False)]


def _c_function(name: str, comment: str, parameters: list[str], lines: list[str]) -> str:
    body = "".join(f"    {line}\n" if line else "\n" for line in lines)
    return f"/* {comment} */\nstatic void {name}({', '.join(parameters)})\n{{\n{body}}}"


# --- one sample -------------------------------------------------------------------------------------------------------------------------


def step_lines(code: Code) -> list[str]:
    """The statements of liquid_step."""
    quantized, plan = code.quantized, code.plan
    lines = [array.declared for array in local_arrays(code)]
    start: list[str] = []
    for p in quantized.populations:
        declared, begun = _message_buffers(code, p)
        lines += declared
        start += begun
    used = {"turn"} if plan.repeats > 1 else set()
    lines += ["int32_t i;", *(["int32_t turn;"] if used else []), "", *start]
    for name in plan.before:
        lines += _run_call(code, quantized.population(name))
    for name in plan.loop:
        if plan.held(name):
            lines += _hold_call(code, quantized.population(name))
    if plan.repeats > 1:
        lines.append(f"for (turn = 0; turn < {plan.repeats}; turn++) {{")
        for name in plan.loop:
            lines += [f"    {line}" for line in _run_call(code, quantized.population(name))]
        lines.append("}")
    for p in quantized.populations:
        if p.name in plan.streams and p.threshold > 1 and plan.hears_itself(p.name):
            name = identifier(p.name)
            if _runs(code, p.name) % 2:  # the last messages stand in the local array
                lines.append(f"for (i = 0; i < {p.size}; i++) {{ self->{name}_sent[i] = {name}_a[i]; }}")
    return lines + _output(code)


def _runs(code: Code, name: str) -> int:
    return code.plan.before.count(name) + code.plan.loop.count(name) * code.plan.repeats


def _message_buffers(code: Code, population: Population) -> tuple[list[str], list[str]]:
    """(declarations, statements at the beginning of a sample) that give a population its <population>_sent and _next."""
    name, kind = identifier(population.name), code.message_type(population.name)
    if not population.program:
        return _input(code, population)
    if population.name not in code.plan.streams:  # computed on the way
        return [], []
    itself, kept = code.plan.hears_itself(population.name), population.threshold > 1
    declared = [f"{kind} *{name}_sent = {f'self->{name}_sent' if kept else f'{name}_a'};"]
    if itself:
        declared += [f"{kind} *{name}_next = {name}_{'a' if kept else 'b'};"]
    if itself and _runs(code, population.name) > 1:
        declared.append(f"{kind} *{name}_swap;")
    begun = []
    if not kept and code.plan.heard_first(population.name):
        begun = [f"for (i = 0; i < {population.size}; i++) {{ {name}_sent[i] = ({kind})liquid_{name}_message(self->{name}[i]); }}"]
    return declared, begun


def _input(code: Code, population: Population) -> tuple[list[str], list[str]]:
    """The samples' words, clipped to the range for which everything is proved."""
    low, high = input_range(code)
    kind, kept = code.message_type(population.name), population.threshold > 1
    word = f"liquid_clip(input[i], {low}, {high})"
    code.used.add("clip")
    if kept:
        word = f"liquid_{identifier(population.name)}_sent({word}, input_sent[i])"
    declared = [f"{kind} *{identifier(population.name)}_sent = {'self->input_sent' if kept else 'input_words'};"]
    name = f"{identifier(population.name)}_sent"
    return declared, [f"for (i = 0; i < {population.size}; i++) {{ {name}[i] = ({kind}){word}; }}"]


def input_range(code: Code) -> tuple[int, int]:
    """The input words for which no sum leaves its word."""
    source = next(p.name for p in code.quantized.populations if not p.program)
    low, high = code.ranges[source]
    return int(low.min(initial=0)), int(high.max(initial=0))


def _hold_call(code: Code, population: Population) -> list[str]:
    name = identifier(population.name)
    given = _passed(code, code.plan.held(population.name)) + [f"{name}_held"]
    return [f"liquid_{name}_hold({', '.join(given)});"]


def _run_call(code: Code, population: Population) -> list[str]:
    name, plan = identifier(population.name), code.plan
    held = plan.held(population.name)
    streams = tuple(stream for stream in plan.streams[population.name] if stream not in held)
    given = ([f"self->{name}"] if _keeps_state(population) else []) + _passed(code, streams)
    given += [f"{name}_held"] if held else []
    given += [f"{name}_sent"] if population.threshold > 1 else []
    itself = plan.hears_itself(population.name)
    given.append(f"{name}_next" if itself else f"{name}_sent")
    lines = [f"liquid_{name}_run({', '.join(given)});"]
    if itself and _runs(code, population.name) > 1:
        lines += [f"{name}_swap = {name}_sent;", f"{name}_sent = {name}_next;", f"{name}_next = {name}_swap;"]
    elif itself:
        lines += [f"{name}_sent = {name}_next;"]
    return lines


def _output(code: Code) -> list[str]:
    quantized = code.quantized
    name, chosen = identifier(quantized.output_population), np.asarray(quantized.output_compartments)
    at = "i"
    if not np.array_equal(chosen, np.arange(len(chosen))):
        table = code.tables.look_up("liquid_output_compartments", chosen).text
        code.tables.write(table)
        at = f"{table}[i]"
    return [f"for (i = 0; i < {len(chosen)}; i++) {{ output[i] = self->{name}[{at}]; }}"]

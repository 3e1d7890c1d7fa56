"""The C functions that run a population, and liquid_step, which runs them all for one sample."""

from __future__ import annotations

from dataclasses import dataclass

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
        if keeps_state(p):
            arrays.append(Array(state_type(p), identifier(p.name), p.size))
        if keeps_message(code, p):
            arrays.append(Array(code.message_type(p.name), f"{identifier(p.name)}_sent", p.size))
    return arrays


def local_arrays(code: Code) -> list[Array]:
    """What lives on the stack during a sample."""
    arrays = []
    for p in code.quantized.populations:
        name, kind = identifier(p.name), code.message_type(p.name)
        if not p.program:
            if p.threshold == 1:
                arrays.append(Array(kind, f"{name}_words", p.size))
        elif p.name in code.plan.streams:
            kept, itself, still = keeps_message(code, p), code.plan.hears_itself(p.name), code.plan.still(p.name)
            arrays += [Array(kind, f"{name}_a", p.size)] if not kept or itself else []
            arrays += [Array(kind, f"{name}_b", p.size)] if not kept and itself else []
            if _holds(code, p):
                arrays.append(Array(f"liquid_{name}_held_t", f"{name}_held", p.size - still, 4 * len(_held_ports(code, p))))
            if still:
                arrays.append(Array(f"liquid_{name}_made_t", f"{name}_made", still, 4 * code.made[p.name]))
    return arrays


def keeps_message(code: Code, population: Population) -> bool:
    """Whether the messages last sent must last from sample to sample: where they do not follow from the states, or no state is kept."""
    stateless = bool(population.program) and not keeps_state(population) and population.name in code.plan.streams
    return population.threshold > 1 or population.prediction or (stateless and code.plan.heard_first(population.name))


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
    if keeps_state(population):
        c99_source.print_message(code, population)
    elif population.threshold > 1:
        c99_source.print_sent(code, population)
    if _holds(code, population):
        fields = " ".join(f"int32_t {port};" for port in _held_ports(code, population))
        code.functions.append(f"/* Sums that last for a sample. */\ntypedef struct {{ {fields} }} liquid_{name}_held_t;")
    if lasting(code, population):
        code.functions.append(_hold(code, population))
    code.functions.append(_run(code, population))


def keeps_state(population: Population) -> bool:
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


def passed(code: Code, streams: tuple[Stream, ...]) -> list[str]:
    """The arguments for `_heard`."""
    names = [f"{identifier(stream.source)}_sent" for stream in streams]
    gates = [code.quantized.population(stream.gate) for stream in streams if stream.gate]
    names += [f"self->{identifier(gate.name)}_sent" for gate in gates if gate.threshold > 1]
    return list(dict.fromkeys(names))


def _synapses(population: Population, streams: tuple[Stream, ...]) -> list[str]:
    """The declarations of what runs through the synapse tables."""
    lines = []
    for stream in streams:
        if stream.counts.any() and not stream.plain:
            table, name = stream_name(population, stream), identifier(stream.gate or stream.source)
            lines.append(f"const {table}_t *{name}_{'synapse' if stream.index is None else 'end'} = {table};")
    return lines


def _loop(
    code: Code, population: Population, streams: tuple[Stream, ...], start: dict[str, str], parameters: bool, part: range
) -> list[str]:
    """The head of the loop over some compartments, up to their sums. parameters: whether their records are read."""
    name = identifier(population.name)
    used = [s for s in streams if s.counts[part.start : part.stop].any() and not s.plain]
    start = start | {port: f"{identifier(s.source)}_sent[0]" for s in streams if s.plain for port in s.weights}
    lines = [f"for (i = {part.start}; i < {part.stop}; i++) {{"]
    if parameters or any(not uniform(s.counts) for s in used):
        lines.append(f"    const liquid_{name}_own_t *own = &liquid_{name}_own[i];")
    lines += [f"    int32_t {port} = {start[port]};" for port in start]
    lines += ["    int32_t j;"] if any(s.index is None for s in used) else []
    lines.append("")
    for stream in used:
        lines += [f"    {line}" for line in c99_source.sum_lines(code, population, stream, part)]
    return lines


def _parts(code: Code, population: Population) -> tuple[range, range]:
    """The compartments that hear something new during the loop, and those that do not."""
    moving = population.size - code.plan.still(population.name)
    return range(moving), range(moving, population.size)


def _holds(code: Code, population: Population) -> bool:
    """Whether compartments that hear something new during the loop also hear what does not change, which is summed once."""
    moving, _ = _parts(code, population)
    return any(stream.counts[: moving.stop].any() for stream in code.plan.held(population.name))


def _held_ports(code: Code, population: Population) -> list[str]:
    """The ports that such synapses reach."""
    reached = {port for stream in code.plan.held(population.name) for port in stream.weights}
    return [port for port in _ports(code, population) if port in reached]


def lasting(code: Code, population: Population) -> list[str]:
    """The arrays that <population>_hold fills."""
    name = identifier(population.name)
    return ([f"{name}_held"] if _holds(code, population) else []) + ([f"{name}_made"] if code.plan.still(population.name) else [])


def _given(code: Code, population: Population) -> list[str]:
    """The arguments of <population>_turn, or _prepare where it is split."""
    name, ports = identifier(population.name), _ports(code, population)
    factors = {port: code.plan.factors[population.name, port] for port in ports}
    given = []
    for part in code.turns[population.name]:
        if part in factors:
            given.append(part if factors[part] == 1 else f"{part} * {factors[part]}")
        else:
            given.append(f"{name}[i]" if part == "state" else f"own->{part}")
    return given


def _hold(code: Code, population: Population) -> str:
    """<population>_hold: the sums of what does not change while the population runs again and again, and what follows from them alone."""
    name, streams, ports = identifier(population.name), code.plan.held(population.name), _ports(code, population)
    moving, still = _parts(code, population)
    plain = code.plan.plain(population.name) if still else ()
    parameters, lines = _heard(code, streams + plain), [*_synapses(population, streams), "int32_t i;", ""]
    if _holds(code, population):
        parameters.append(c_array(f"liquid_{name}_held_t", "held", constant=False))
        lines += _loop(code, population, streams, dict.fromkeys(_held_ports(code, population), "0"), False, moving)
        lines += [f"    held[i].{port} = {port};" for port in _held_ports(code, population)] + ["}"]
    if still:
        parameters.append(c_array(f"liquid_{name}_made_t", "made", constant=False))
        given = _given(code, population)
        own = any(part.startswith("own->") for part in given)
        lines += _loop(code, population, streams + plain, {port: "0" for port in ports if port in code.turns[population.name]}, own, still)
        at = f"i - {still.start}" if still.start else "i"
        lines += [f"    made[{at}] = liquid_{name}_prepare({', '.join(given)});", "}"]
    comment = f"What {population.name} hears that does not change within a sample, summed."
    return _c_function(f"liquid_{name}_hold", comment, parameters, lines)


def _run(code: Code, population: Population) -> str:
    """<population>_run: every compartment once, from the messages before."""
    name, plan, ports = identifier(population.name), code.plan, _ports(code, population)
    held = plan.held(population.name)
    streams = tuple(stream for stream in plan.streams[population.name] if stream not in held)
    start = {port: f"held[i].{port}" if _holds(code, population) and port in _held_ports(code, population) else "0" for port in ports}
    moving, still = _parts(code, population)
    lines = [*_synapses(population, streams), "int32_t i;", ""]
    later = "".join(f", own->{column}" for column in code.advances.get(population.name, []))
    if moving:
        lines += _loop(code, population, streams, start, bool(code.columns[population.name]), moving)
        turn = f"liquid_{name}_turn({', '.join(_given(code, population))})"
        if still:
            lines.append(f"    const liquid_{name}_made_t made_now = liquid_{name}_prepare({', '.join(_given(code, population))});")
            turn = f"liquid_{name}_advance({name}[i], &made_now{later})"
        lines += [f"    {line}" for line in _kept(code, population, turn)] + ["}"]
    if still:
        at = f"i - {still.start}" if still.start else "i"
        lines += _loop(code, population, (), {}, bool(later), still)[:-1]
        lines += [f"    {line}" for line in _kept(code, population, f"liquid_{name}_advance({name}[i], &made[{at}]{later})")] + ["}"]
    comment = f"Every compartment of {population.name} once."
    return _c_function(f"liquid_{name}_run", comment, _run_parameters(code, population, streams), lines)


def _kept(code: Code, population: Population, turn: str) -> list[str]:
    """The statements that keep what a turn gives: the state, and the message for the targets."""
    name, message = identifier(population.name), code.message_type(population.name)
    if keeps_state(population):
        given = ["state", *(["before"] if population.prediction else []), *(["sent[i]"] if population.threshold > 1 else [])]
        lines = [f"const int32_t before = {name}[i];"] if population.prediction else []
        lines += [f"const int32_t state = {turn};", f"{name}[i] = ({state_type(population)})state;"]
        return [*lines, f"next[i] = ({message})liquid_{name}_message({', '.join(given)});"]
    if population.threshold > 1:
        return [f"next[i] = ({message})liquid_{name}_sent({turn}, sent[i]);"]
    return [f"next[i] = ({message}){turn};"]


def _run_parameters(code: Code, population: Population, streams: tuple[Stream, ...]) -> list[str]:
    name, message = identifier(population.name), code.message_type(population.name)
    parameters = [c_array(state_type(population), name, constant=False)] if keeps_state(population) else []
    parameters += _heard(code, streams)
    parameters += [c_array(f"liquid_{name}_held_t", "held")] if _holds(code, population) else []
    parameters += [c_array(f"liquid_{name}_made_t", "made")] if code.plan.still(population.name) else []
    parameters += [c_array(message, "sent")] if population.threshold > 1 else []
    return [*parameters, c_array(message, "next", constant=False)]


def _c_function(name: str, comment: str, parameters: list[str], lines: list[str]) -> str:
    body = "".join(f"    {line}\n" if line else "\n" for line in lines)
    return f"/* {comment} */\nstatic void {name}({', '.join(parameters)})\n{{\n{body}}}"

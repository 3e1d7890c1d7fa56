"""The C code of every population: its tables, the printed program, and the loop that sums and runs it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.cells.integer import predicted, sent_after
from liquid_neuro.quantized_network import IntArray, Population, QuantizedNetwork
from mappers.exporters.c99_algebra import note_failure
from mappers.exporters.c99_plan import Plan, Stream, uniform
from mappers.exporters.c99_print import Printer
from mappers.exporters.c99_values import Tables, Value, number, storage
from mappers.proofs.intervals import Interval, Range, message_ranges, sum_range


@dataclass
class Code:
    """What has been printed so far.

    used: the C primitives called. turns: the parameters of each <population>_turn (_prepare where it is split). columns: those among
    them that its records hold. advances: columns that <population>_advance reads; made: how many numbers it gets from _prepare.
    unproved: what is not proved to fit its word, a sentence each, where that is allowed; None where it is not.
    """

    quantized: QuantizedNetwork
    plan: Plan
    ranges: Mapping[str, Range]
    fast_tables: bool
    tables: Tables = field(default_factory=Tables)
    functions: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    turns: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, dict[str, IntArray]] = field(default_factory=dict)
    advances: dict[str, list[str]] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    unproved: list[str] | None = None

    def fails(self, failure: str, remedy: str) -> None:
        """Notes something that is not proved; ExportError where that is not allowed."""
        note_failure(self.unproved, failure, remedy)

    def message_type(self, name: str) -> str:
        """The C type of a population's messages."""
        low, high = self.ranges[name]
        return storage(int(low.min(initial=0)), int(high.max(initial=0)))


def new_code(quantized: QuantizedNetwork, plan: Plan, fast_tables: bool, unproved: list[str] | None = None) -> Code:
    """Nothing printed yet."""
    return Code(quantized, plan, message_ranges(quantized), fast_tables, unproved=unproved)


def identifier(name: str) -> str:
    """A population's name as a part of C names."""
    return re.sub(r"\W", "_", name)


def c_array(kind: str, name: str, constant: bool = True) -> str:
    """An array as a parameter of a function."""
    return f"{'const ' if constant else ''}{kind} {name}[]"


# --- programs ---------------------------------------------------------------------------------------------------------------------------


def print_turn(code: Code, population: Population, passes_message: bool) -> None:
    """Prints the function <population>_turn: the new state, or the message where nobody keeps the state.

    Where some compartments hear nothing new during the loop it is two functions: <population>_prepare, of all but the state, and _advance.
    """
    program = PROGRAMS[population.program]
    quantized, name = code.quantized, identifier(population.name)
    split = not program.stateless and code.plan.still(population.name) > 0
    printer = Printer(population.name, code.tables, code.fast_tables, code.unproved)
    word, arguments = population.state, []
    arguments.append(number(0) if program.stateless else printer.argument("state", _word(word), late=split))
    ports = []
    for port in program.ports:
        low, high = sum_range(quantized, dict(code.ranges), population.name, port)
        reached = bool(low.any() or high.any())
        arguments.append(_sum(code, printer, port, Interval(low, high)) if reached else number(0))
        ports += [port] if reached else []
    for parameter in program.parameters:
        arguments.append(printer.known(parameter, population.parameters[parameter]))
    for entry in program.tables:
        arguments.append(code.tables.look_up(f"liquid_{entry}", np.asarray(population.tables[entry])))
    result = printer.call(program.function, *arguments)
    result = printer.words.clip(result, number(word.lowest), number(word.highest))
    if passes_message:
        result = printer.words.round_shift(result, number(population.message_shift))
    given = [] if program.stateless else ["state"]
    if split:
        _print_split(code, population, printer, result, ports)
        return
    comment = f"The {'message' if passes_message else 'new state'} of a compartment of {population.name}: program {population.program}."
    columns = _function(code, f"liquid_{name}_turn", comment, [*given, *ports], printer, result)
    code.turns[population.name], code.columns[population.name] = [*given, *ports, *columns], columns


def _sum(code: Code, printer: Printer, port: str, reach: Interval) -> Value:
    """A port's running sum as an argument; where it may leave the accumulator, and that is allowed, saturated to it."""
    bits = code.quantized.accumulator_bits
    given = printer.argument(port, printer.words.within_word(port, reach))
    return given if code.unproved is None else printer.words.saturate(given, number(bits))


def _print_split(code: Code, population: Population, printer: Printer, result: Value, ports: list[str]) -> None:
    """Prints <population>_prepare and <population>_advance."""
    name, parts = identifier(population.name), printer.split(result)
    code.used |= printer.words.used
    made = [*(port for port in ports if port in parts.needed), *parts.made]
    first = [*ports, *parts.first_columns]
    fields, copies = (" ".join(text.format(item) for item in made) for text in ("int32_t {};", "made.{0} = {0};"))
    lines = [f"liquid_{name}_made_t made;", *parts.first, *copies.replace("; ", ";\n").split("\n"), "return made;"]
    body = "".join(f"    {line}\n" for line in lines)
    arguments = ", ".join(f"int32_t {item}" for item in first)
    code.functions.append(
        f"/* What program {population.program} makes for a compartment of {population.name} of all but its state. */\n"
        f"typedef struct {{ {fields} }} liquid_{name}_made_t;\n\n"
        f"static inline liquid_{name}_made_t liquid_{name}_prepare({arguments})\n{{\n{body}}}"
    )
    body = "".join(f"    {line}\n" for line in [*(f"const int32_t {item} = made->{item};" for item in made), *parts.second])
    arguments = ", ".join(["int32_t state", f"const liquid_{name}_made_t *made", *(f"int32_t {item}" for item in parts.second_columns)])
    code.functions.append(
        f"/* The new state of a compartment of {population.name}: program {population.program}, the rest. */\n"
        f"static inline int32_t liquid_{name}_advance({arguments})\n{{\n{body}}}"
    )
    code.turns[population.name], code.columns[population.name] = first, {**parts.first_columns, **parts.second_columns}
    code.advances[population.name] = list(parts.second_columns)
    code.made[population.name] = len(made)


def print_message(code: Code, population: Population) -> None:
    """Prints the function <population>_message of (state[, before][, sent]): what the targets hold afterwards."""
    name, given = identifier(population.name), ["state"]
    printer = Printer(population.name, code.tables, unproved=code.unproved)
    state = printer.argument("state", _word(population.state))
    if population.prediction:
        given.append("before")
        before = printer.argument("before", _word(population.state))
        message = printer.call(predicted, state, before, number(population.state.bits), number(population.message_shift))
    else:
        message = printer.words.round_shift(state, number(population.message_shift))
    comment = f"What the targets of {population.name} hold after its turn."
    if population.threshold > 1:
        given.append("sent")
        sent = printer.argument("sent", Interval(*code.ranges[population.name]))
        message = printer.call(sent_after, message, sent, number(population.threshold))
    _function(code, f"liquid_{name}_message", comment, given, printer, message)


def print_sent(code: Code, population: Population) -> None:
    """Prints the function <population>_sent of (message, sent): what the targets hold afterwards."""
    printer = Printer(population.name, code.tables, unproved=code.unproved)
    held = Interval(*code.ranges[population.name])
    message, sent = printer.argument("message", held), printer.argument("sent", held)
    result = printer.call(sent_after, message, sent, number(population.threshold))
    comment = f"What the targets of {population.name} hold after its turn: a message that moved by {population.threshold}, or the last one."
    _function(code, f"liquid_{identifier(population.name)}_sent", comment, ["message", "sent"], printer, result)


def _word(word: QFormat) -> Interval:
    return Interval(np.asarray(word.lowest), np.asarray(word.highest))


def _function(code: Code, name: str, comment: str, given: Sequence[str], printer: Printer, result: Value) -> dict[str, IntArray]:
    """Adds a function of what is given and of the columns that it needs, which are returned."""
    lines, columns = printer.finished(result)
    code.used |= printer.words.used
    body = "".join(f"    {line}\n" for line in lines)
    arguments = ", ".join(f"int32_t {parameter}" for parameter in [*given, *columns]) or "void"
    code.functions.append(f"/* {comment} */\nstatic inline int32_t {name}({arguments})\n{{\n{body}}}")
    return columns


# --- sums -------------------------------------------------------------------------------------------------------------------------------


def stream_name(population: Population, stream: Stream) -> str:
    """The C name of a stream's synapse table."""
    return f"liquid_{identifier(population.name)}_from_{identifier(stream.gate or stream.source)}"


def print_streams(code: Code, population: Population) -> None:
    """Prints the synapse tables of all that a population hears, and the programs of gates on the way."""
    for stream in code.plan.streams[population.name]:
        if stream.plain:
            continue
        columns = dict(stream.weights)
        if stream.index is not None:
            columns["source"] = stream.index
        through = ""
        if stream.gate:
            gate = code.quantized.population(stream.gate)
            print_turn(code, gate, passes_message=True)
            columns |= {parameter: values[stream.members] for parameter, values in code.columns[gate.name].items()}
            if gate.threshold > 1:
                print_sent(code, gate)
            through = f", each through a {stream.gate}"
        comment = f"What {population.name} hears from {stream.source}{through}: sorted by target."
        code.tables.write_records(stream_name(population, stream), comment, columns)


def sum_lines(code: Code, population: Population, stream: Stream, part: range) -> list[str]:
    """The statements that add a stream's synapses of compartment i, one of `part`, to the sums of its ports."""
    name, counts = identifier(stream.gate or stream.source), stream.counts[part.start : part.stop]
    count = str(int(stream.counts[0])) if uniform(stream.counts) else f"own->{name}_count"
    if count == "0":
        return []
    source = identifier(stream.source)
    at = f"{name}_synapse->source" if stream.index is not None else "j"
    if stream.index is None:
        head, end = [f"for (j = 0; j < {count}; j++) {{"], [f"    {name}_synapse++;", "}"]
    else:
        kind = f"{stream_name(population, stream)}_t"
        head = [f"const {kind} *{name}_synapse = {name}_end;", "", f"{name}_end += {count};"]
        if (counts > 0).all():
            head, end = [*head, "do {"], [f"}} while (++{name}_synapse != {name}_end);"]
        else:
            head, end = [*head, f"for (; {name}_synapse != {name}_end; {name}_synapse++) {{"], ["}"]
    lines = [*head, f"    const int32_t heard_{name} = {source}_sent[{at}];" if not stream.gate else ""]
    if stream.gate:
        gate = code.quantized.population(stream.gate)
        ports = PROGRAMS[gate.program].ports
        given = [f"{source}_sent[{at}]" if part in ports else f"{name}_synapse->{part}" for part in code.turns[gate.name]]
        message = f"liquid_{name}_turn({', '.join(given)})"
        if gate.threshold > 1:
            message = f"liquid_{name}_sent({message}, *{name}_held)"
        lines.append(f"    const int32_t heard_{name} = {message};")
        if gate.threshold > 1:
            lines.append(f"    *{name}_held++ = ({code.message_type(stream.gate)})heard_{name};")
    for port in stream.weights:
        one = bool((stream.weights[port] == 1).all())
        lines.append(f"    {port} += heard_{name}{'' if one else f' * {name}_synapse->{port}'};")
    return [line for line in [*lines, *end] if line]

"""Hardware profiles: a strict schema and its TOML loader.

A profile is a TOML file. Every number in it has its unit in its key (joule ``_j``, second ``_s``, watt ``_w``, hertz ``_hz``, volt ``_v``,
``_bits``, or the thing counted), an uncertainty and a source::

    synaptic_operation_j = { low = 3e-12, typical = 8e-12, high = 25e-12, confidence = "assumed", source = "…" }
    cores = { value = 128, confidence = "published", source = "…" }

confidence: "measured" (raw data of real devices), "published" (a document that states it), "derived" (computed from such numbers) or
"assumed" (anything else: scaling, memory, estimate).
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from hardware_profiles.sections import (
    CoreEnergy,
    CoreLimits,
    CoreTime,
    Mesh,
    Neural,
    Power,
    Processor,
    ProgramMemory,
    Quantity,
    Sourced,
    Strict,
    Words,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHIPS = Path(__file__).parent / "chips"
UNITS = ("j", "s", "w", "hz", "v", "bits")


class ProfileError(ValueError):
    """A profile file that cannot be used. The message says where, what must be there, what is there and what to do."""


class HardwareProfile(Strict):
    """One chip: immutable. Which of the optional sections are there follows from `kind`."""

    name: str = Field(min_length=1)
    title: str = Field(min_length=3)
    kind: Literal["loihi", "akida", "microcontroller"]
    words: Words
    power: Power
    mesh: Mesh | None = None
    limits: CoreLimits | None = None
    energy: CoreEnergy | None = None
    time: CoreTime | None = None
    neural: Neural | None = None
    host: Processor | None = None
    processor: Processor | None = None
    memory: ProgramMemory | None = None

    @model_validator(mode="after")
    def _sections(self) -> HardwareProfile:
        needed = {
            "loihi": {"mesh", "limits", "energy", "time"},
            "akida": {"neural", "host"},
            "microcontroller": {"processor", "memory"},
        }[self.kind]
        sections = ("mesh", "limits", "energy", "time", "neural", "host", "processor", "memory")
        present = {name for name in sections if getattr(self, name) is not None}
        if present != needed:
            raise ValueError(f'a profile of kind "{self.kind}" must have the sections {sorted(needed)}, but has {sorted(present)}')
        return self

    @property
    def weight_bits(self) -> int:
        """The widest stored weight."""
        return max(self.words.weight_bits.values)

    @property
    def weight_bits_choices(self) -> tuple[int, ...]:
        """All widths that a stored weight may have."""
        return tuple(sorted(self.words.weight_bits.values))

    @property
    def accumulator_bits(self) -> int:
        """Width of the synaptic running sums."""
        return self.words.accumulator_bits.value

    @property
    def state_bits(self) -> int:
        """Width of a compartment's state word."""
        return self.words.state_bits.value

    @property
    def message_bits(self) -> int:
        """Width of the payload of a message."""
        return self.words.message_bits.value

    @property
    def activation_bits(self) -> int:
        """The widest activation of a layer (the message width where the chip knows no activations)."""
        return max(self.words.activation_bits.values) if self.words.activation_bits else self.message_bits

    @property
    def activation_bits_choices(self) -> tuple[int, ...]:
        """All widths that an activation may have."""
        return tuple(sorted(self.words.activation_bits.values)) if self.words.activation_bits else (self.message_bits,)

    @property
    def cores(self) -> int:
        """How many cores (neural processors, 1 for a microcontroller) there are."""
        if self.mesh is not None:
            return self.mesh.cores.value
        return self.neural.neural_processors.value if self.neural is not None else 1

    def numbers(self) -> Iterator[tuple[str, Sourced]]:
        """Every number with its place, e.g. ("energy.tick_j", Quantity)."""
        return _numbers(self, "")

    def replace(self, changes: Mapping[str, Any], name: str | None = None) -> HardwareProfile:
        """A copy with some numbers changed, e.g. replace({"limits.compartments_per_core": 1024}, name="small").

        A plain number stands for low = typical = high, with confidence "assumed" and the source "set by the caller".
        """
        data = self.to_dict()
        for place, value in changes.items():
            *sections, key = place.split(".")
            table = data
            for section in sections:
                table = table.setdefault(section, {})
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            table[key] = {"value": value, "confidence": "assumed", "source": "set by the caller"} if is_number else value
        return from_dict({**data, "name": name or f"{self.name}-copy"}, where="replace()")

    def to_dict(self) -> dict[str, Any]:
        """Plain tables as in the TOML file."""
        return self.model_dump(exclude_none=True)

    def to_toml(self) -> str:
        """The profile as a TOML text that `load` reads."""
        return "\n".join(_toml(self.to_dict(), "")) + "\n"


def _numbers(model: Any, prefix: str) -> Iterator[tuple[str, Sourced]]:
    items = model.items() if isinstance(model, dict) else ((name, getattr(model, name)) for name in type(model).model_fields)
    for name, value in items:
        if isinstance(value, Sourced):
            yield prefix + name, value
        elif isinstance(value, (BaseModel, dict)):
            yield from _numbers(value, f"{prefix}{name}.")


def _toml(table: Mapping[str, Any], path: str) -> Iterator[str]:
    sections = []
    for key, value in table.items():
        if isinstance(value, dict) and "confidence" not in value:
            sections.append((f"{path}.{key}".lstrip("."), value))
        elif isinstance(value, dict):
            inner = ", ".join(f"{name} = {json.dumps(item, ensure_ascii=False)}" for name, item in value.items())
            yield f"{key} = {{ {inner} }}"
        else:
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    for name, section in sections:
        yield f"\n[{name}]"
        yield from _toml(section, name)


def available() -> tuple[str, ...]:
    """Names of the profiles that come with the package."""
    return tuple(sorted(path.stem for path in CHIPS.glob("*.toml")))


def load(name_or_path: str | Path) -> HardwareProfile:
    """A profile by its name (see `available`) or from a TOML file. ProfileError says what is wrong with it."""
    text = str(name_or_path)
    path = CHIPS / f"{text}.toml" if text in available() else Path(text)
    if not path.is_file():
        close = difflib.get_close_matches(text, available(), 1)
        hint = f' (did you mean "{close[0]}"?)' if close else ""
        raise ProfileError(f'profile must be one of {", ".join(available())} or the path of a TOML file, but is "{text}"{hint}')
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path.name} must be a TOML file, but cannot be read: {error}; correct that line") from None
    return from_dict(data, where=path.name)


def save(profile: HardwareProfile, path: str | Path) -> None:
    """Writes the profile as a TOML file."""
    Path(path).write_text(profile.to_toml(), encoding="utf-8")


def from_dict(data: Mapping[str, Any], where: str = "profile") -> HardwareProfile:
    """A profile from plain tables. ProfileError names place, rule, what is there and what to do, of the first problem."""
    try:
        return HardwareProfile.model_validate(dict(data))
    except ValidationError as error:
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")  # a misspelt key also misses
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ProfileError(f"{where}: {_sentence(problems[0])}{more}") from None


def _sentence(problem: Any) -> str:
    """One pydantic problem as: `place` must …, but is …; do …"""
    place = ".".join(str(part) for part in problem["loc"]) or "the profile"
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        return _unknown_key(place)
    if kind == "missing":
        return f"`{place}` must be given, but is missing; add it{_how(place)}"
    if kind == "value_error":
        return f"`{place}`: {problem['ctx']['error']}; correct the file"
    shown = json.dumps(given, default=str, ensure_ascii=False)
    shown = shown if len(shown) < 80 else shown[:77] + "…"
    return f"`{place}` must satisfy: {problem['msg'].lower()}, but is {shown}; correct the value"


def _how(place: str) -> str:
    key = place.rsplit(".", 1)[-1]
    if key == "source":
        return ": a sentence that says where the number comes from"
    if key == "confidence":
        return ': "measured", "published", "derived" or "assumed"'
    return ""


def _unknown_key(place: str) -> str:
    section, _, key = place.rpartition(".")
    known = _known_keys(section)
    stem = re.sub(r"_[a-z]{1,4}$", "", key, flags=re.IGNORECASE)
    for candidate in known:
        base, _, unit = candidate.rpartition("_")
        if unit in UNITS and stem and base in (stem, key):
            return f'`{place}` must be given in the unit "{unit}", but the key says otherwise; write `{candidate}` and convert the number'
    close = difflib.get_close_matches(key, known, 1)
    hint = f"write `{close[0]}`" if close else f"remove it (known here: {', '.join(known)})"
    return f"`{place}` must be a known key, but is not; {hint}"


def _known_keys(section: str) -> list[str]:
    model: Any = HardwareProfile
    for part in [part for part in section.split(".") if part]:
        annotation = model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else None
        options = [option for option in getattr(annotation, "__args__", (annotation,)) if isinstance(option, type)]
        model = next((option for option in options if issubclass(option, BaseModel)), Quantity)
    return list(model.model_fields)

"""What every chip's profile must keep. Chips are found by their files; a new one is tested without touching this file."""

import importlib.util
import sys
from pathlib import Path

import pytest

import hardware_profiles
from hardware_profiles.sections import Choices, Limit, Quantity

NAMES = hardware_profiles.available()
FILES = sorted(Path(hardware_profiles.__file__).parent.joinpath("chips").iterdir())


def test_every_file_is_a_chip() -> None:
    assert [path.name for path in FILES] == [f"{name}.toml" for name in NAMES]
    assert set(NAMES) >= {"loihi1", "loihi2", "akida1000", "akida1500", "cortex_m4", "cortex_m0plus"}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_that_of_the_file(name: str) -> None:
    assert hardware_profiles.load(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_writing_and_reading_changes_nothing(name: str, tmp_path: Path) -> None:
    profile = hardware_profiles.load(name)
    hardware_profiles.save(profile, tmp_path / "copy.toml")
    assert hardware_profiles.load(tmp_path / "copy.toml") == profile


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_source_and_a_unit(name: str) -> None:
    numbers = list(hardware_profiles.load(name).numbers())
    assert len(numbers) > 15
    for place, number in numbers:
        assert len(number.source) > 3, place
        if isinstance(number, Quantity) and "cycles" not in place:
            in_tiles = place.rsplit(".", 1)[-1].isdigit()  # the barrier's table: its unit stands in the table's name
            key = place.split(".")[-2] if in_tiles else place.split(".")[-1]
            assert key.rsplit("_", 1)[-1] in {"j", "s", "w", "hz", "v", "bits"}, place
        else:
            assert isinstance(number, (Limit, Choices, Quantity)), place


@pytest.mark.parametrize("name", NAMES)
def test_what_was_not_checked_is_never_called_published(name: str) -> None:
    for place, number in hardware_profiles.load(name).numbers():
        if number.confidence in ("published", "measured"):
            text = number.source.lower()
            assert not any(word in text for word in ("estimate", "not checked", "general knowledge", "assum", "from memory")), place


@pytest.mark.parametrize("name", NAMES)
def test_attributes_that_other_packages_read(name: str) -> None:
    profile = hardware_profiles.load(name)
    assert profile.weight_bits == max(profile.weight_bits_choices)
    assert profile.activation_bits == max(profile.activation_bits_choices)
    assert profile.cores >= 1
    assert profile.accumulator_bits >= profile.message_bits
    assert profile.power.static_power_w.low > 0


def test_nothing_here_needs_the_vendors_software() -> None:
    assert "akida" not in sys.modules or importlib.util.find_spec("akida") is None

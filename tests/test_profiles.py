"""The profile schema: strict, with sentences for what is wrong, and a loader that reads what it writes."""

import copy
from pathlib import Path

import pytest

import hardware_profiles
from hardware_profiles import ProfileError


def tables(name: str = "loihi2") -> dict:
    return copy.deepcopy(hardware_profiles.load(name).to_dict())


def message(data: dict) -> str:
    with pytest.raises(ProfileError) as error:
        hardware_profiles.from_dict(data, where="x.toml")
    return str(error.value)


def test_unknown_key_is_refused_with_the_likely_one() -> None:
    data = tables()
    data["energy"]["spik_j"] = data["energy"].pop("spike_j")
    assert message(data).startswith("x.toml: `energy.spik_j` must be a known key, but is not; write `spike_j`")


def test_unknown_section_is_refused() -> None:
    data = tables()
    data["wishes"] = {}
    assert "`wishes` must be a known key" in message(data)


def test_wrong_unit_is_refused_with_the_right_key() -> None:
    data = tables()
    data["energy"]["spike_pj"] = data["energy"].pop("spike_j")
    assert '`energy.spike_pj` must be given in the unit "j"' in message(data)
    assert "write `spike_j` and convert the number" in message(data)


def test_missing_source_is_refused() -> None:
    data = tables()
    del data["energy"]["spike_j"]["source"]
    assert "`energy.spike_j.source` must be given, but is missing" in message(data)


def test_missing_number_is_refused() -> None:
    data = tables()
    del data["time"]["host_tick_s"]
    assert "`time.host_tick_s` must be given, but is missing" in message(data)


def test_low_above_typical_is_refused_with_the_three_numbers() -> None:
    data = tables()
    data["energy"]["spike_j"]["low"] = 1.0
    assert "low <= typical <= high must hold, but they are 1, 2e-11, 6.93e-11" in message(data)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_numbers_must_be_finite_and_not_negative(value: float) -> None:
    data = tables()
    data["power"]["static_power_w"].update(low=value, typical=value, high=value)
    assert "finite and not negative" in message(data)


@pytest.mark.parametrize(
    ("change", "text"),
    [({"confidence": "sure"}, "confidence"), ({"typical": "8"}, "typical"), ({"source": ""}, "source"), ({"typical": True}, "typical")],
)
def test_wrong_types_are_refused_by_place(change: dict, text: str) -> None:
    data = tables()
    data["energy"]["spike_j"].update(change)
    assert f"`energy.spike_j.{text}`" in message(data)


def test_sections_follow_from_the_kind() -> None:
    data = tables()
    del data["mesh"]
    assert 'kind "loihi" must have the sections' in message(data)
    data = tables()
    data["kind"] = "toaster"
    assert "`kind`" in message(data)


def test_more_cores_than_slots_are_refused() -> None:
    data = tables()
    data["mesh"]["cores"]["value"] = 129
    assert "128" in message(data)
    assert "129" in message(data)


def test_not_toml_and_not_there(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text('name = "x\n', encoding="utf-8")
    with pytest.raises(ProfileError, match=r"broken.toml must be a TOML file"):
        hardware_profiles.load(broken)
    with pytest.raises(ProfileError, match=r'did you mean "loihi2"'):
        hardware_profiles.load("loihi3")


def test_a_saved_profile_loads_equal_and_a_copy_can_change_limits(tmp_path: Path) -> None:
    copied = hardware_profiles.load("loihi2").replace({"limits.compartments_per_core": 1024, "mesh.cores": 2}, name="small")
    hardware_profiles.save(copied, tmp_path / "small.toml")
    again = hardware_profiles.load(tmp_path / "small.toml")
    assert again == copied
    assert (again.name, again.cores, again.limits.compartments_per_core.value) == ("small", 2, 1024)
    with pytest.raises(ProfileError, match="compartments_on_core"):
        copied.replace({"limits.compartments_on_core": 3})


def test_profiles_are_immutable() -> None:
    profile = hardware_profiles.load("loihi2")
    with pytest.raises(ValueError, match="frozen"):
        profile.name = "other"


def test_barrier_takes_the_largest_entry_not_above_the_tiles() -> None:
    time = hardware_profiles.load("loihi1").time
    assert [time.barrier(tiles).typical for tiles in (1, 2, 3, 4, 28, 29, 32)] == [0.6e-6, 1e-6, 1e-6, 1.4e-6, 1.4e-6, 1.8e-6, 1.8e-6]

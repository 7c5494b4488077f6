from __future__ import annotations

import copy

import pytest

from spectrain.core.errors import RunError
from spectrain.runs.migrations import STEPS, format_of, migrated


def tag(version, name="cake"):
    return {"format": {"name": name, "version": version}}


CHAIN = {
    ("cake", 1): lambda old: {**{k: v for k, v in old.items() if k != "sugar"}, "sweet_g": old["sugar"]},
    ("cake", 2): lambda old: {**old, "sweet_kg": old["sweet_g"] / 1000},
}


def test_an_old_record_passes_through_every_step_and_stays_as_it_was():
    record = {**tag(1), "sugar": 250}
    before = copy.deepcopy(record)
    new = migrated(record, "cake", 3, where="cake.json", steps=CHAIN)
    assert new == {**tag(3), "sweet_g": 250, "sweet_kg": 0.25}
    assert record == before


def test_a_record_in_the_middle_takes_the_rest_of_the_way():
    assert migrated({**tag(2), "sweet_g": 1}, "cake", 3, where="x", steps=CHAIN)["sweet_kg"] == 0.001


def test_a_record_of_today_is_returned_as_it_is():
    assert migrated({**tag(3), "a": 1}, "cake", 3, where="x", steps=CHAIN) == {**tag(3), "a": 1}


def test_newer_than_the_code_is_refused():
    with pytest.raises(RunError) as caught:
        migrated(tag(4), "cake", 3, where="runs/a/run.json", steps=CHAIN)
    message = str(caught.value)
    assert "version 4" in message
    assert "up to 3" in message
    assert "runs/a/run.json" in message


def test_another_format_and_a_missing_step_are_named():
    with pytest.raises(RunError, match="'pie', not 'cake'"):
        migrated(tag(1, "pie"), "cake", 3, where="x", steps=CHAIN)
    with pytest.raises(RunError, match="version 1 of the format 'cake' can no longer be read"):
        migrated(tag(1), "cake", 3, where="x", steps={})


@pytest.mark.parametrize(
    "record", [{}, {"format": "cake"}, {"format": {"name": "cake"}}, tag(0), tag("1"), tag(True), tag(None), tag(1, 3)]
)
def test_a_file_without_a_sensible_tag_is_refused(record):
    with pytest.raises(RunError, match="does not say which format"):
        format_of(record, where="x")


def test_the_table_has_no_gaps():
    for name, version in STEPS:
        assert version == 1 or (name, version - 1) in STEPS

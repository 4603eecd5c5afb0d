"""A persistent map is a dict whose older states stay as they were."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from xds.config.persistent import LEAF_MAX, PersistentMap


class Clumsy(str):
    """Collides with half of its kind in every bit of the hash, and with the others in the lower ones."""

    __slots__ = ()

    def __hash__(self) -> int:
        return (len(self) % 2) << 20


keys = st.one_of(st.integers(0, 300).map(str), st.integers(0, 200).map(lambda number: Clumsy("x" * number)))
batches = st.lists(st.dictionaries(keys, st.one_of(st.none(), st.integers(0, 3).map(str)), max_size=120), max_size=12)


def _naive(old, new):
    return {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) is not new.get(key)}


@settings(max_examples=150, deadline=None, database=None)
@given(batches)
def test_every_state_is_that_of_a_dict_and_stays_so(edits):
    state, model = PersistentMap(), {}
    states = [(state, model)]
    for batch in edits:
        state = state.updated(batch)
        model = {key: value for key, value in {**model, **batch}.items() if value is not None}
        states.append((state, model))
    for state, model in states:
        assert dict(state) == model
        assert len(state) == len(model)
        assert all(state[key] is value for key, value in model.items())
        for other, other_model in states:
            assert state.changed_since(other) == _naive(other_model, model)


def test_what_is_not_there_is_not_found():
    full = PersistentMap().updated(dict.fromkeys(range(1000), "x"))
    assert 1000 not in full
    assert full.get(1000) is None
    assert full.updated({1000: None}) == full
    assert full.updated({}) is full


def test_an_emptied_map_is_as_small_as_a_new_one():
    full = PersistentMap().updated(dict.fromkeys(range(10 * LEAF_MAX), "x"))
    empty = full.updated(dict.fromkeys(full))
    assert not empty
    assert empty._root == {}
    assert empty.changed_since(PersistentMap()) == {}


def test_relatives_are_compared_where_they_differ_only():
    class Untouchable:
        """A key that nobody may look at again once it is in."""

        armed = False

        def __hash__(self) -> int:
            assert not self.armed
            return 1 << 4

    guard = Untouchable()
    old = PersistentMap().updated({**dict.fromkeys(range(1000), "x"), guard: "y"})
    Untouchable.armed = True
    new = old.updated({7: "z"})
    assert new.changed_since(old) == {7: ("x", "z")}
    assert old[7] == "x"

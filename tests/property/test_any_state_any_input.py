"""Whatever a client sends, whenever: the session answers what a client can read, or nothing."""

from __future__ import annotations

import hypothesis.strategies as st
from fakes.protocol import Delta, Detail, Sotw, decode, resource
from hypothesis import HealthCheck, given, settings

from xds.engine.session import Session
from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET

TYPES = [CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET]
SETTINGS = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))

keys = st.tuples(st.sampled_from(TYPES), st.sampled_from("abc"))
words = st.sampled_from("123")
texts = st.one_of(st.sampled_from(["", "*", "a", "b", "1", "2", "3"]), st.text(max_size=4))
several = st.lists(texts, max_size=4)
errors = st.one_of(st.none(), st.builds(Detail, st.integers(0, 20), st.text(max_size=8)))
urls = st.sampled_from([*TYPES, "example/Unheard"])
delta_requests = st.builds(Delta, urls, several, several, st.dictionaries(texts, texts, max_size=3), texts, errors)
sotw_requests = st.builds(Sotw, urls, several, texts, texts, errors)


def inputs(requests):
    """Requests, changes of the view, and releases of the gate."""
    changes = st.tuples(st.dictionaries(keys, words, max_size=3), st.sets(keys, max_size=2))
    return st.lists(st.one_of(requests, changes, st.integers(0, 10)), max_size=25)


def talk(conversation, *, delta) -> None:
    view = View()
    session = Session(view, delta=delta, allowed=None)
    for each in conversation:
        replies = []
        if isinstance(each, tuple):
            upserts, removals = each
            view.apply([resource(*key, word) for key, word in upserts.items()], removals)
        elif isinstance(each, int):
            session.release(each)
        else:
            replies.append(session.on_request(each))
        while (reply := session.next_reply()) is not None:
            replies.append(reply)
            assert len(replies) < 100, "an endless push"
        for reply in filter(None, replies):
            decode(reply, delta=delta)
        for status in session.status():
            assert status.acked_commit <= status.sent_commit <= view.commit
    session.close()
    assert not view.sessions


@SETTINGS
@given(inputs(delta_requests))
def test_any_delta_request_in_any_state_is_answered_legally(conversation) -> None:
    talk(conversation, delta=True)


@SETTINGS
@given(inputs(sotw_requests))
def test_any_sotw_request_in_any_state_is_answered_legally(conversation) -> None:
    talk(conversation, delta=False)

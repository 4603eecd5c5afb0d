"""Views by scope: shared, made by the first stream, dropped after the last, brought along by each snapshot."""

from __future__ import annotations

import pytest
from control_support import cluster, snapshot

from xds import names
from xds.config.scope import NodeFacts
from xds.control.store import Store
from xds.engine import wire
from xds.engine.session import Session

WEB, API = NodeFacts(None, "web"), NodeFacts(None, "api")


def for_node(node: str, text: str) -> str:
    return f"nodes: {{node_id: {node}}}\n{text}"


def clusters(view) -> dict[str, str]:
    return {name: record.source for name, record in view.records(names.CLUSTER).items()}


def subscribed(view) -> Session:
    """A session that has everything and waits for more."""
    session = Session(view, delta=True, allowed=None)
    request = wire.message("legation.discovery.v1.DeltaRequest")(type_url=names.CLUSTER, resource_names_subscribe=["*"])
    reply = session.on_request(request)
    answer = wire.message("legation.discovery.v1.DeltaRequest")(type_url=names.CLUSTER, response_nonce=reply.nonce)
    assert session.on_request(answer) is None
    return session


def test_nodes_of_one_scope_share_a_view_and_others_do_not():
    store = Store()
    store.publish(snapshot(all=cluster("a"), web=for_node("web", cluster("b"))))
    view = store.join("one", WEB)
    assert store.join("two", WEB) is view
    other = store.join("three", API)
    assert other is not view
    assert set(clusters(view)) == {"a", "b"}
    assert set(clusters(other)) == {"a"}


def test_a_view_ends_with_its_last_stream():
    store = Store()
    store.publish(snapshot(all=cluster("a")))
    view = store.join("one", WEB)
    store.join("two", WEB)
    store.leave("one", view)
    assert store.view_for(WEB) is view
    store.leave("two", view)
    assert list(store.groups) == []
    store.leave("two", view)


def test_a_snapshot_changes_what_differs_and_wakes_who_reads_it():
    store = Store()
    store.publish(snapshot(a=cluster("a"), b=cluster("b")))
    view = store.join("one", WEB)
    session = subscribed(view)
    commit = view.commit
    done = store.publish(snapshot(a=cluster("a"), b=cluster("b", "2s"), c=cluster("c")))
    assert done.woken == (session,)
    assert done.displaced == ()
    assert view.commit == commit + 1
    assert set(clusters(view)) == {"a", "b", "c"}


def test_an_equal_snapshot_wakes_nobody():
    store = Store()
    store.publish(snapshot(a=cluster("a")))
    view = store.join("one", WEB)
    subscribed(view)
    commit = view.commit
    done = store.publish(snapshot(a=cluster("a")))
    assert (done.woken, done.views_changed, view.commit) == ((), 0, commit)


def test_what_is_for_one_group_wakes_nobody_else():
    store = Store()
    store.publish(snapshot(all=cluster("a"), web=for_node("web", cluster("b"))))
    web, api = store.join("one", WEB), store.join("two", API)
    reader = subscribed(web)
    subscribed(api)
    done = store.publish(snapshot(all=cluster("a"), web=for_node("web", cluster("b", "2s"))))
    assert done.woken == (reader,)
    assert done.views_changed == 1


def test_nodes_that_part_get_views_of_their_own_and_never_what_is_not_theirs():
    store = Store()
    store.publish(snapshot(all=cluster("a")))
    view = store.join("one", WEB)
    assert store.join("two", WEB) is store.join("three", API)
    done = store.publish(snapshot(all=cluster("a"), web=for_node("web", cluster("b"))))
    assert done.displaced == ("three",)
    assert set(clusters(view)) == {"a", "b"}
    assert set(clusters(store.view_for(API))) == {"a"}
    assert store.view_for(WEB) is view
    store.leave("three", view)
    assert store.view_for(WEB) is view


def test_nodes_that_come_together_are_both_brought_along():
    store = Store()
    store.publish(snapshot(all=cluster("a"), web=for_node("web", cluster("b"))))
    web, api = store.join("one", WEB), store.join("two", API)
    store.publish(snapshot(all=cluster("a")))
    assert set(clusters(web)) == set(clusters(api)) == {"a"}
    shared = store.join("three", WEB)
    assert shared in {web, api}
    store.publish(snapshot(all=cluster("c")))
    assert set(clusters(web)) == set(clusters(api)) == {"c"}
    store.leave("one", web)
    store.leave("two", api)
    store.leave("three", shared)
    assert list(store.groups) == []


def test_a_view_that_nobody_joined_is_forgotten():
    store = Store()
    store.publish(snapshot(all=cluster("a")))
    store.view_for(WEB)
    store.publish(snapshot(all=cluster("b")))
    assert list(store.groups) == []


def test_before_the_first_snapshot_there_is_no_view():
    with pytest.raises(AssertionError):
        Store().view_for(WEB)

from __future__ import annotations

import random

import pytest
from fakes.envoy_messages import Filler, all_messages, new, pack

from xds.api.canonical import canonical
from xds.api.descriptors import UnknownType
from xds.api.faults import UnknownContent

METADATA = "envoy.config.core.v3.Metadata"
EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"
CLUSTER = "envoy.config.cluster.v3.Cluster"


def _entry(key):
    """One entry of `filter_metadata`, as bytes."""
    inner = b"\x0a" + bytes([len(key)]) + key.encode() + b"\x12\x00"
    return b"\x0a" + bytes([len(inner)]) + inner


def _shuffled(seed):
    keys = [f"key-{i}" for i in range(20)]
    random.Random(seed).shuffle(keys)
    return b"".join(map(_entry, keys))


def _wrapped(body, full_name=METADATA):
    config = {"type_url": f"type.googleapis.com/{full_name}", "value": body}
    inner = new(EXTENSION, name="x", typed_config=config)
    return new(EXTENSION, name="y", typed_config=pack(inner)).SerializeToString()


def test_equal_content_has_equal_bytes_however_it_was_written():
    bodies = {
        canonical(EXTENSION, _wrapped(_shuffled(seed))).SerializeToString(deterministic=True) for seed in range(10)
    }
    assert len(bodies) == 1
    assert len({_shuffled(seed) for seed in range(10)}) == 10


def test_it_changes_nothing_but_the_form():
    filler = Filler(7, chance=0.3)
    for descriptor in all_messages():
        message = new(descriptor.full_name)
        filler.fill(message)
        assert canonical(descriptor.full_name, message.SerializeToString()) == message, descriptor.full_name


def test_a_field_that_we_do_not_know_is_refused_at_any_depth():
    unknown = b"\xf2\xff\x07\x03abc"
    with pytest.raises(
        UnknownContent, match=r"has fields that envoy.config.cluster.v3.Cluster lacks.*xds-protos"
    ) as caught:
        canonical(CLUSTER, new(CLUSTER, name="web").SerializeToString() + unknown)
    assert caught.value.path == ""
    with pytest.raises(UnknownContent) as caught:
        canonical(EXTENSION, _wrapped(unknown))
    assert caught.value.path == "typed_config.typed_config"


def test_what_cannot_be_read_is_refused_with_its_path():
    with pytest.raises(UnknownContent, match=r"typed_config.typed_config: is no valid envoy.config.core.v3.Metadata"):
        canonical(EXTENSION, _wrapped(b"\x0a\xff"))
    with pytest.raises(UnknownContent, match=r"typed_config.typed_config: unknown type 'acme.Type'"):
        canonical(EXTENSION, _wrapped(b"", "acme.Type"))
    with pytest.raises(UnknownType):
        canonical("acme.Type", b"")


def test_it_ends():
    message = new("google.protobuf.Duration")
    for _ in range(150):
        message = new(EXTENSION, typed_config=pack(message))
    with pytest.raises(UnknownContent, match="nested more than 100 deep"):
        canonical(EXTENSION, message.SerializeToString())


def test_an_empty_any_stays_empty():
    message = new(EXTENSION, name="x", typed_config={})
    assert canonical(EXTENSION, message.SerializeToString()) == message

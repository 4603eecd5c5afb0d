"""What people's names and texts look like in our sentences, and that a key is never in one."""

from __future__ import annotations

import base64
import random

import pytest
from fakes.envoy_messages import all_messages
from hypothesis import given
from hypothesis import strategies as st

from xds.api.paths import steps_text
from xds.api.quoting import WITHHELD, quoted, quoted_type, revealing, sentence

KEY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5T56OPHKFxOThMgx"
BEGIN = "-----BEGIN " + "PRIVATE" + " KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"key={KEY}",
        f"in a sentence: {KEY}, and more",
        BEGIN,
        BEGIN.lower(),
        "-----BEGIN CERTIFICATE-----",
        "3f" * 20,
        "3f:" * 20,
        "\\x3f" * 20,
        "PuTTY-User-Key-File-3: ed25519",
        "AGE-SECRET-KEY-1QQQ",
        "x" * 500 + KEY,
    ],
)
def test_what_may_be_a_key_is_withheld(text):
    assert quoted(text) == sentence(text) == steps_text((text,)) == WITHHELD


@given(st.integers(0, 10_000), st.integers(48, 200))
def test_a_key_in_any_of_the_usual_forms(seed, length):
    data = random.Random(seed).randbytes(length)
    assert revealing(data.hex())
    assert revealing(data.hex(":"))
    assert revealing(base64.b64encode(data).decode())


def test_a_long_text_is_looked_through_in_time_that_grows_with_its_length():
    for text in ("-" * 1_000_000, "aB" * 30_000, "a" * 1_000_000, "3f:" * 14 + "x" * 1_000_000):
        revealing(text)


@pytest.mark.parametrize(
    "text",
    [
        "web",
        "outbound|8080|v1|reviews.production.svc.cluster.local",
        "spiffe://example.org/ns/productionproductionproduction/sa/paymentsprocessing",
        "prod-us-east-1-PaymentService-canary-deployment-v2-europe",
        "svc-6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "/usr/lib/python3/site/packages/example/of/a/path/quite/long",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "there is no private key here",
    ],
)
def test_names_and_sentences_are_shown(text):
    assert not revealing(text)
    assert quoted(text, 100) == repr(text)


def test_no_type_of_the_api_is_taken_for_a_key():
    assert [message.full_name for message in all_messages() if revealing(message.full_name)] == []


def test_what_is_shown_is_cut_and_escaped():
    assert quoted("and " * 50) == repr(("and " * 50)[:64] + "…").replace("…", "\\u2026")
    assert sentence("two\nlines \x1b[31m") == "two lines \\x1b[31m"
    assert sentence("word " * 100) == "word " * 40 + "…"
    assert steps_text(("a", 0, "word " * 50)) == "a[0]." + quoted("word " * 50)


def test_the_name_of_a_type_is_shown_as_far_as_it_is_one():
    assert quoted_type("acme.v1.Filter") == "'acme.v1.Filter'"
    assert quoted_type("type.googleapis.com/acme.v1.Fil canary") == "'type.googleapis.com/acme.v1.Fil\\u2026'"
    assert quoted_type(f"acme.{KEY}") == WITHHELD
    assert quoted_type("") == "''"

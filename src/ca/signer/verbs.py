"""The verbs of the signer, as plain calls: requests in, answers out, many at a time. The socket decides who may ask.

The requests of one batch share two writes to the journal. What is wrong with one of them concerns that one only.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from ca.errors import Code, LocalError, RefusedError
from ca.identity.lifetimes import LEAF_MIN_S, Lifetimes
from ca.identity.order import Kind, Order
from ca.identity.spiffe import IpAddress, check_dns_name, node_id, read_ip_address, server_id, shown, workload_id
from ca.signer.authority import Authority
from ca.signer.csr import public_key_of
from ca.signer.issuer import Issued, Token

REQUEST_ID_CHARS_MAX: Final = 128
NAMES_MAX: Final = 64
"""Names in one certificate: with more, the secret leaves its size budget (identity 17)."""

ANSWERS_MAX: Final = 4096
ANSWERS_KEPT: Final = timedelta(minutes=5)
"""Longer than any caller repeats a request whose answer was lost (identity 54)."""

KEYS_MAX: Final = 100_000
"""Keys remembered against reuse: ten times the largest fleet of one authority, in 14 MB."""


@dataclass(frozen=True, slots=True)
class LeafRequest:
    """`SignLeaf`: an X.509-SVID of a workload."""

    request_id: str
    csr_der: bytes = field(repr=False)
    spiffe_id: str
    node: str
    ttl_s: int = 0
    dns_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeRequest:
    """`SignNode`: the certificate of a node, or of one of our own servers."""

    request_id: str
    csr_der: bytes = field(repr=False)
    node: str | None = None
    server: str | None = None
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()


SignRequest = LeafRequest | NodeRequest
Answer = Issued | RefusedError


@dataclass(slots=True, eq=False)
class _Job:
    digest: bytes
    answer: Answer | None = None
    token: Token | None = None


class Verbs:
    """What the signer does, for one trust domain. Bounded memory, no clock of its own."""

    def __init__(
        self, authority: Authority, trust_domain: str, lifetimes: Lifetimes, rows: Iterable[Mapping[str, Any]]
    ) -> None:
        """`rows`: the journal's last ones, from which the keys in use are known again after a restart."""
        self.authority = authority
        self.issued = 0
        self._trust_domain = trust_domain
        self._lifetimes = lifetimes
        self._answers: OrderedDict[str, tuple[bytes, datetime, Issued]] = OrderedDict()
        self._keys: OrderedDict[str, str] = OrderedDict()
        for row in rows:
            if row.get("event") == "intent":
                self._remember_key(str(row.get("spki")), str(row.get("spiffe_id")))

    def sign(self, requests: Sequence[SignRequest], now: datetime) -> list[Answer]:
        """Answer each request, in order. Does not raise for what a request does wrong."""
        jobs: dict[str, _Job] = {}
        order = [self._job(request, jobs, now) for request in requests]
        self._issue([job for job in jobs.values() if job.token is not None])
        self._remember_answers(jobs, now)
        return [_answer(job) for job in order]

    def _job(self, request: SignRequest, jobs: dict[str, _Job], now: datetime) -> _Job:
        """The work that a request makes; one that repeats another shares its answer (identity 54)."""
        digest = _digest(request)
        known = jobs.get(request.request_id)
        if known is None and (kept := self._answers.get(request.request_id)) is not None:
            known = _Job(kept[0], kept[2])
        if known is not None:
            return known if known.digest == digest else _Job(digest, _other_request(request))
        job = _Job(digest)
        try:
            job.token = self._prepare(request, now)
        except RefusedError as refused:
            job.answer = refused
        jobs[request.request_id] = job
        return job

    def _prepare(self, request: SignRequest, now: datetime) -> Token:
        if not 0 < len(request.request_id) <= REQUEST_ID_CHARS_MAX:
            raise RefusedError(Code.REQUEST_ID, f"a request id has 1 to {REQUEST_ID_CHARS_MAX} characters")
        order = self._leaf(request) if isinstance(request, LeafRequest) else self._node(request)
        self._check_key(order)
        return self.authority.issuer.prepare(order, now=now, backdate_s=self._lifetimes.backdate_s)

    def _leaf(self, request: LeafRequest) -> Order:
        spiffe_id = workload_id(request.spiffe_id, self._trust_domain)
        node_id(request.node, self._trust_domain)
        ttl_s = request.ttl_s or self._lifetimes.leaf_s
        return Order(
            kind=Kind.WORKLOAD,
            spiffe_id=spiffe_id,
            public_key=public_key_of(request.csr_der),
            ttl_s=min(max(ttl_s, LEAF_MIN_S), self._lifetimes.longest_leaf_s),
            dns_names=_dns_names(request.dns_names),
            node=request.node,
            request_id=request.request_id,
        )

    def _node(self, request: NodeRequest) -> Order:
        if (request.node is None) is (request.server is None):
            raise RefusedError(Code.MALFORMED, "name either a node or a server")
        if request.node is not None and (request.dns_names or request.ip_addresses):
            raise RefusedError(Code.NAME, "a node's certificate names its SPIFFE ID only")
        if request.node is not None:
            kind, spiffe_id = Kind.NODE, node_id(request.node, self._trust_domain)
        else:
            kind, spiffe_id = Kind.SERVER, server_id(str(request.server), self._trust_domain)
        return Order(
            kind=kind,
            spiffe_id=spiffe_id,
            public_key=public_key_of(request.csr_der),
            ttl_s=self._lifetimes.node_s,
            dns_names=_dns_names(request.dns_names),
            ip_addresses=_ip_addresses(request.ip_addresses),
            node=request.node or "",
            request_id=request.request_id,
        )

    def _check_key(self, order: Order) -> None:
        """One key, one identity; and never a key of the authority (identity 51)."""
        spki = order.spki_sha256
        holder = self._keys.get(spki)
        if holder is not None and holder != str(order.spiffe_id):
            raise RefusedError(Code.KEY_REUSED, "this key is another identity's already: make a new key")
        if spki in self.authority.key_hashes:
            raise RefusedError(Code.KEY_REUSED, "this key is the authority's own")
        self._remember_key(spki, str(order.spiffe_id))

    def _remember_key(self, spki: str, spiffe_id: str) -> None:
        self._keys[spki] = spiffe_id
        while len(self._keys) > KEYS_MAX:
            self._keys.popitem(last=False)

    def _issue(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return
        try:
            results = self.authority.issuer.issue([job.token for job in jobs if job.token is not None])
        except LocalError as error:
            results = [RefusedError(Code.JOURNAL, str(error)) for _ in jobs]
        for job, result in zip(jobs, results, strict=True):
            job.answer = result
            self.issued += isinstance(result, Issued)

    def _remember_answers(self, jobs: Mapping[str, _Job], now: datetime) -> None:
        for request_id, job in jobs.items():
            if isinstance(job.answer, Issued):
                self._answers[request_id] = (job.digest, now, job.answer)
        while self._answers:
            _, kept_at, _ = next(iter(self._answers.values()))
            if len(self._answers) <= ANSWERS_MAX and now - kept_at < ANSWERS_KEPT:
                return
            self._answers.popitem(last=False)


def _answer(job: _Job) -> Answer:
    if job.answer is None:
        raise LocalError("a request was left without an answer")
    return job.answer


def _other_request(request: SignRequest) -> RefusedError:
    return RefusedError(
        Code.REQUEST_ID, f"the request id {shown(request.request_id)} was used for another request: use a new one"
    )


def _digest(request: SignRequest) -> bytes:
    """What makes two requests the same one."""
    fields = (type(request).__name__, *(getattr(request, name) for name in request.__slots__))
    return hashlib.sha256(repr(fields).encode()).digest()


def _dns_names(names: Iterable[str]) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(check_dns_name(name) for name in names))
    if len(unique) > NAMES_MAX:
        raise RefusedError(Code.NAME, f"at most {NAMES_MAX} DNS names")
    return unique


def _ip_addresses(texts: Iterable[str]) -> tuple[IpAddress, ...]:
    unique = tuple(dict.fromkeys(read_ip_address(text) for text in texts))
    if len(unique) > NAMES_MAX:
        raise RefusedError(Code.NAME, f"at most {NAMES_MAX} IP addresses")
    return unique

"""The xDS protocol as plain calls: views of records, and one `Session` per stream that decides what to send and when.

What may not enter: await, clocks, randomness, logging, gRPC; and protobuf nowhere but in `wire`. A number in brackets,
as in (77), is a row of `conformance` in docs/reference/rules.md.
"""

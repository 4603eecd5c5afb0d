"""The only room that touches the network: gRPC, HTTP, the kernel's news of changed files.

It carries bytes and doesn't know what they mean; no `config`, no `control`.
"""

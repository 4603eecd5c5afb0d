"""The management server, and the xDS protocol engine that `ca` re-uses.

No private key is ever here but that of its own listener.
"""

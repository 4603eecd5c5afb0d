"""One file per scenario; each has a click command named `command`, which `python -m bench` finds by itself.

A scenario wires servers and clients to the core; what two scenarios share belongs in the core.
"""

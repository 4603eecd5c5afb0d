"""One run: a subject under a load, measured from outside and judged. Several scenarios use the same runs.

Wires `servers` and `clients` by their command lines only; imports neither.
"""

"""The benchmark harness: `python -m bench SCENARIO`. Measures servers from outside, in processes of their own.

Nothing of the product imports it. A scenario is a file in `scenarios`; it may import `core`, `clients` and `servers`.
"""

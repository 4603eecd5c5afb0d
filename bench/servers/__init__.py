"""Servers under test, each started as `python -m bench.servers.NAME CONFIG` and driven by lines on its standard input.

They import the product (or only its settings); nothing else of the harness imports them.
"""

"""The umbrella: command line, supervisor, demo. It starts `xds` and `ca` as processes of their own and holds no key."""

__version__ = "0.1.0"

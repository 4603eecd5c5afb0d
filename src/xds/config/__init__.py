"""From text that it is given to immutable, checked snapshots: files, resources written in Python, scopes.

Pure: reads no file, starts no process, knows no transport. May import api, engine.record and the vocabulary.
"""

"""Envoy's API as descriptors: message classes, and what may be read off a message without knowing its type beforehand.

Pure: no await, no clock, no log. May import names, errors, limits and protobuf; nothing above (design, section 2).
"""

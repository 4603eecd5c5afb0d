"""Leaf keys and their certificates: made, kept, rotated, delivered; by the central server and by a host's agent.

Every private key in here belongs to a leaf and lives in memory; no CA key may enter, and nothing of `ca.server`.
"""

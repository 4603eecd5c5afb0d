"""`legation demo`: the control plane, two real Envoys, an application and traffic, in a temporary directory.

Everything that counts is seen from outside: requests by their answers, certificates in TLS handshakes.
"""

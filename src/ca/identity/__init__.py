"""What a certificate says and who may have it: SPIFFE IDs, lifetimes, profiles, chains, bundles, entries.

Pure functions and values. Public keys only: no private key, clock, file, socket, trio or grpc may enter.
"""

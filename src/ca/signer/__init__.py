"""The process that holds the keys of the certificate authority, behind one Unix socket. Nothing imports this package.

All of it is synchronous but `service` and `__main__`; no grpc, and no verb that returns a private key, may enter.
"""

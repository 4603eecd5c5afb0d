"""Load generators and probes, and the real Envoys: all run as processes of their own.

They speak the wire themselves and import nothing of the product, so that they work against any xDS server.
"""

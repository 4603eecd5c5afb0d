"""The CA's front process: entries, the nodes' secrets, credentials of our own servers, status.

No CA key is ever here.
"""

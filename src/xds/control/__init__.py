"""The shell of the management server (trio): sources, publishing, views, fleet, health, metrics, admin.

Everything that decides is a plain function or a synchronous class here; the functions that await only carry.
No grpc and no asyncio may enter (that is `xds.edge`), and no message format but what `xds.config` hands over.
"""

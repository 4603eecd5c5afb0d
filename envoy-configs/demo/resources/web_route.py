"""The routes of `web`, written in Python with the typed classes of envoy-data-plane."""

from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption
from envoy_data_plane.envoy.config.route.v3 import Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost

GREETING = "hello"  # change this while the demo runs: the next response carries it

nodes = [{"spiffe_id": "spiffe://demo.legation/cp/node/web"}]

resources = [
    RouteConfiguration(
        name="web",
        virtual_hosts=[
            VirtualHost(
                name="api",
                domains=["*"],
                routes=[Route(match=RouteMatch(prefix="/"), route=RouteAction(cluster="api"))],
                response_headers_to_add=[HeaderValueOption(header=HeaderValue(key="x-greeting", value=GREETING))],
            )
        ],
    )
]

"""HTTP to Django, websockets to the live consumers; sockets only from our own pages.

The views are synchronous. Under Django's ASGI handler each request would get a new thread with a new connection to the
database; these threads stay, and keep theirs.
"""

import gc
import os
from typing import Any

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudstore.settings")
THREADS, ROWS_AT_ONCE = 16, 2
views: Any = get_wsgi_application()  # sets Django up: what follows needs it

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from cloudstore.turns import PeopleFirst  # noqa: E402
from datastores.live.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": PeopleFirst(WSGIMiddleware(views, workers=THREADS), at_once=ROWS_AT_ONCE),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)

gc.collect()
gc.freeze()  # what is loaded now stays: a full collection would look at all of it in the middle of a request

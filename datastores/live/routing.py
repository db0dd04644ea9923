from django.urls import path

from datastores.live.consumers import JobConsumer
from datastores.live.feed import FeedConsumer

websocket_urlpatterns = [
    path("ws/jobs/<uuid:uuid>/", JobConsumer.as_asgi()),
    path("ws/feed/", FeedConsumer.as_asgi()),
]

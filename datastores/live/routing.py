from django.urls import path

from datastores.live.consumers import FeedConsumer, JobConsumer

websocket_urlpatterns = [
    path("ws/jobs/<uuid:uuid>/", JobConsumer.as_asgi()),
    path("ws/feed/", FeedConsumer.as_asgi()),
]

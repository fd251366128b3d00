"""The site as a WSGI application. A view can read a request's body while the client still sends it."""

import logging
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.site.settings")
logging.captureWarnings(True)

application = get_wsgi_application()

"""The site as a WSGI application. A view can read a request's body while the client still sends it."""

import logging
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from dashboard.site.sub_path import SubPath

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.site.settings")
logging.captureWarnings(True)

application = SubPath(get_wsgi_application(), settings.SUB_PATH)

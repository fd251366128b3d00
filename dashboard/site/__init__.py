"""The Django project: settings, URLs, WSGI, Celery and the web server."""

"""The site: what an operator sees and clicks."""

from dashboard.site.celery import app as celery_app

__all__ = ["celery_app"]

"""A conformance probe: finds out how a store behaves by sending the requests that Partway depends on.

The probe starts uploads and creates small objects under a scratch prefix of one bucket, and removes them again. It
reports what it creates (`created.CreatedThings`) before and after each request, so that another process can clean up
if the probe dies.
"""

"""Finding out by trying how a store behaves: a conformance probe of the requests that Partway lives on.

It begins uploads and makes small objects under a scratch prefix of one bucket, and leaves nothing behind: what it has
made is told (`created.Made`) before and after each act, so that whoever finds a dead probe can clean up after it.
"""

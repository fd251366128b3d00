"""Store checks: requested as rows, run by a task under a lease, and cleaned up after in every case.

A check records what it creates in the bucket before each request. The next process that works on the check, or on
another check of the bucket, removes what is recorded first.
"""

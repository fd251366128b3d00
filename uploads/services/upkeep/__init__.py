"""What runs by itself: the watchdog, cleanup, reconciliation, health and metrics."""

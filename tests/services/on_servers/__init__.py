"""Services on each test server, through a proxy that injects faults."""

"""A leased row of work: who holds it, when it is tried again, how it is put on the queue."""

"""What changes things: one module an aggregate. Only services change a status, only services call the object store."""

"""What changes things: one package per subject. Only services change a status, only services call the object store."""

"""The page about staging: bytes on this machine that are not yet in a store."""

"""Signing in: passwords, sessions, locks after failed attempts, and second factors."""

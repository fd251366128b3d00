"""Alerts: evaluating the rules, and sending what they found."""

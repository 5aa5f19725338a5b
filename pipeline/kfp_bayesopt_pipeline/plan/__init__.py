"""Estimates for a study before anything is sent: hours, machines and money."""

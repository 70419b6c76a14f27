"""Trainings killed at random moments, and whether they go on bit for bit."""

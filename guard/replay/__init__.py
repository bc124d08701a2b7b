"""Runs a clip through the guard the way a pipeline would, and writes down what came of it."""

"""The version, kept in the source so that an sdist, a wheel and a checkout all say the same."""

__version__ = "0.1.0"

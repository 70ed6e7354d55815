"""videostyle turns live or recorded video into a painting."""

__version__ = "0.1.0"

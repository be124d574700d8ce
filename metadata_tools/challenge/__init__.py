"""The challenge's own files: metadata, audio, gains, listeners and what becomes of its packages."""

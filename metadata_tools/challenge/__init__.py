"""The challenge's layout: metadata, audio, gains, listeners, and the plan for its packages."""

"""Read, write and synthesise single notes of instruments."""

"""Single notes: reading and writing folders of them, sound files, and a synthesiser."""

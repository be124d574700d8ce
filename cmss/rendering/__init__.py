"""Renders mixtures from recorded single notes and scores.

score, arrange, held_out    notes of a score, ensembles, works and pitches that are held out
notes, musicxml             reading of folders of notes and scores, with libraries for both
material                    notes and scores for a training, from folders or from a packed file
effects, tones, acoustics   players and rooms, as pure functions; need only NumPy
excerpts                    a random excerpt: passage, ensemble, players, room

The rendered data sets of `metadata_tools.render` use the same scores, ensembles and held-out works
and pitches, but neither the effects nor the rooms of this package.
"""

"""Renders mixtures from recorded single notes and scores.

The modules are:

- `notation`, `arrange`: scores, and ensembles that play the parts of a score;
- `held_out`: works and recorded pitches that are held out for testing;
- `notes`, `musicxml`: readers for folders of notes and of scores; these modules need further
  libraries;
- `material`, `packed_material`: notes and scores for a training, from folders or from a packed
  file;
- `effects`, `tones`, `acoustics`: effects, players and rooms as pure functions; these modules need
  only NumPy;
- `excerpts`: random excerpts with an ensemble, a passage, players and a room.

`metadata_tools.render` renders data sets with the same scores, ensembles, held-out works and
held-out pitches. `metadata_tools.render` does not use the effects and the rooms of this package.
"""

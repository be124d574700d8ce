"""Checks whether a sound file is as long as its container states.

libsndfile decodes the sounds, but the lengths that libsndfile returns are not reliable:

* If a file is shorter than its header states, libsndfile corrects the length without an error.
* If the header has no length because the writer was interrupted, libsndfile finds no sound.
* For an MP3 file without a Xing header, libsndfile estimates the length. Samples after the
  estimated end are not decoded.

Because the lengths of libsndfile are not reliable, this module reads the containers of sound files.
A file is refused if it is shorter than stated, has no end mark or has a wrong checksum. For a file
without a stated length, this module returns a header. With this header, libsndfile decodes the file
to the end.

The supported containers are RIFF (WAV), RIFX, RF64, BW64, W64, AIFF, AIFF-C, CAF, AU, FLAC, Ogg and
MP3. The lengths of files in other containers are not checked.
"""

from cmss.files.containers.container import Container
from cmss.files.containers.examining import examine
from cmss.files.containers.spliced import Spliced

__all__ = ["Container", "Spliced", "examine"]

"""Three scenes for two listeners, with scores as evaluate.py writes them."""

import numpy as np

from cmss.fingerprint import fingerprint
from cmss.hearing.haaqi import Haaqi
from cmss.results.rows import ComponentRow, FingerprintRow, ScoreRow
from cmss.results.score_files import ScoreFiles
from cmss.scenes import shard
from tests.support.tiny_pairs import make_pairs

OFFICIAL_COLUMNS = ["scene", "song", "listener", "left_haaqi", "right_haaqi", "avg_haaqi"]
PAIRS = make_pairs()
RNG = np.random.default_rng(3)
SCORES = [ScoreRow.of(pair, *RNG.uniform(0.2, 0.9, 2)) for pair in PAIRS]


def components(pair) -> ComponentRow:
    left, right = RNG.uniform(0, 1, (2, 7)).tolist()
    return ComponentRow.of(pair, Haaqi(*left), Haaqi(*right), 7)


COMPONENTS = [components(pair) for pair in PAIRS]
MADE_FROM = {
    pair.name: fingerprint({"enhancer": "first", "scene": number})
    for number, pair in enumerate(PAIRS)
}
FINGERPRINTS = [FingerprintRow.of(pair, MADE_FROM[pair.name]) for pair in PAIRS]
ROWS = list(zip(PAIRS, SCORES, COMPONENTS, FINGERPRINTS, strict=True))


def write_shards(folder, batch_size: int) -> None:
    for batch in range(batch_size):
        mine = shard(PAIRS, batch, batch_size)
        files = ScoreFiles(folder, MADE_FROM, batch, batch_size)
        for pair, *rows in ROWS:
            if pair in mine:
                files.append(*rows)

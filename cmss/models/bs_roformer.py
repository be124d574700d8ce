"""Describes BS-RoFormer, a network of lucidrains' package `BS-RoFormer`.

The command `pip install '.[roformer]'` installs the package. The network is wrapped by
:mod:`cmss.models.module`, and `separator=module` loads checkpoints of this network.
"""

from cmss.models.module import ModuleArguments, ModuleNetwork
from cmss.models.record import NetworkRecord, Size
from cmss.scenes import INSTRUMENTS

# fmt: off
RECORD = NetworkRecord(
    name="bs_roformer",
    network=ModuleNetwork,
    arguments=ModuleArguments,
    summary="BS-RoFormer: masks by attention along time and frequency bands",
    sizes={
        "small": Size(
            {
                "target": "bs_roformer.BSRoformer", "sources": INSTRUMENTS, "samplerate": 16000,
                "arguments": {
                    "dim": 32, "depth": 2, "time_transformer_depth": 1, "freq_transformer_depth": 1,
                    "heads": 4, "dim_head": 16, "stereo": True, "num_stems": 8,
                    "num_residual_streams": 1, "mask_estimator_depth": 1,
                    "freqs_per_bands": (4,) * 16 + (8,) * 16 + (32,) * 8 + (64,) * 8 + (65,),
                    "stft_n_fft": 2048, "stft_hop_length": 512, "stft_win_length": 2048,
                },
                "consistent": True,
            },
            "waveform", {"power": 1, "spectral": 1.0},
        ),
    },
    separates=False,
)
# fmt: on

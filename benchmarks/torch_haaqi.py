"""Compare differentiable HAAQI with exact HAAQI: `python -m benchmarks.torch_haaqi [--all]`.

The differentiable HAAQI is computed in single precision and without noise. For the scenes of
benchmarks.haaqi, the program prints the difference between differentiable and exact HAAQI, and the
time of the forward and backward pass of the differentiable HAAQI.
"""

import argparse
import time

import numpy as np
import torch

from benchmarks.haaqi import HAAQI_RATE_HZ, cases
from benchmarks.sounds import EARS
from cmss.hearing.differentiable.torch_index import torch_haaqi
from cmss.hearing.haaqi import compute_haaqi
from cmss.hearing.haaqi.filterbank import audiometric_levels_db


def main() -> None:
    """Run the command: compare both implementations, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torch_haaqi", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of the scene")
    parser.add_argument(
        "--all", action="store_true", help="score each type of processing for all listeners"
    )
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"on {device}, {torch.get_num_threads()} threads")
    print(f"{'case':32} {'exact':>7} {'loss':>7} {'error':>9} {'exact s':>8} {'f+b s':>6}")
    distances = []
    for name, (processed, reference, ear, level1) in cases(arguments.seconds, arguments.all):
        audiogram = EARS[ear].audiogram
        np.random.seed(1)
        start_s = time.perf_counter()
        exact = compute_haaqi(
            processed, reference, HAAQI_RATE_HZ, HAAQI_RATE_HZ, audiogram, 2, level1
        )
        exact_s = time.perf_counter() - start_s

        samples = min(len(processed), len(reference))
        batch = torch.tensor(np.stack((processed[:samples], reference[:samples])))
        batch = batch.float().to(device)
        copy, original = batch[:1].requires_grad_(), batch[1:]
        start_s = time.perf_counter()
        score = torch_haaqi(copy, original, audiometric_levels_db(audiogram), level1).score
        score.sum().backward()
        loss = score.item()
        loss_s = time.perf_counter() - start_s
        distances.append(abs(loss - exact))
        print(
            f"{name:32} {exact:7.4f} {loss:7.4f} {distances[-1]:9.1e} {exact_s:8.2f} {loss_s:6.2f}",
            flush=True,
        )
    print(f"\nmedian error {np.median(distances):.1e}, largest {max(distances):.1e}")


if __name__ == "__main__":
    main()

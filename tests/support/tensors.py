"""Random signals and weights as torch tensors."""

import torch


def randomised(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Change all parameters, including norms and slopes, from their initial values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    """White noise of unit variance."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quiet_noise(*shape: int, seed: int = 1) -> torch.Tensor:
    """White noise at -20 dB, a level of loud music."""
    return 0.1 * noise(*shape, seed=seed)

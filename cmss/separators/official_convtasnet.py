"""Implements `separator=convtasnet` with networks of the challenge or of this project."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import LocalEntryNotFoundError

from cmss.errors import InputError
from cmss.models.convtasnet import ConvTasNet
from cmss.models.network import CONFIG, WEIGHTS, Network
from cmss.separators.trained import NetworkSeparator

CAUSALITIES = {"causal": "Causal", "noncausal": "NonCausal"}


@dataclass
class ConvTasNetSeparator(NetworkSeparator):
    """Separates with Conv-TasNet, with weights of this project or of the challenge.

    Args:
        weights_from: source of the weights. The value `official` selects the networks of the
            challenge in the Hugging Face hub. A folder may contain subfolders
            ConvTasNet_<Instrument>_<Causal|NonCausal>/ in the format of the hub. All values that
            :class:`NetworkSeparator` accepts for `weights_from` are also allowed.
        revision: branch or commit of the weights in the hub; the weights of a commit never change.
        force_redownload: whether to download again the weights that are already in the hub's cache.

    Raises:
        InputError: see :class:`NetworkSeparator`.
    """

    name: str = "convtasnet"
    revision: str = "main"
    force_redownload: bool = False

    places = "small, official, a .safetensors file or a folder"

    def _holds_networks(self, path: Path) -> bool:
        return self.weights_from == "official" or path.is_dir()

    def _load(self, instrument: str) -> Network:
        """Load the network of an instrument."""
        name = f"ConvTasNet_{instrument}_{CAUSALITIES[self.causality]}"
        folder = Path(self.weights_from) / name
        if self.weights_from == "official":
            folder = self._from_hub(f"cadenzachallenge/{name}")
        elif not folder.is_dir():
            return super()._load(instrument)
        return self._of_one(folder, self._published(folder), instrument)

    def _from_hub(self, repository: str) -> Path:
        def folder(offline: bool) -> Path:
            for name in (CONFIG, WEIGHTS):
                path = hf_hub_download(
                    repository,
                    name,
                    revision=self.revision,
                    force_download=self.force_redownload,
                    local_files_only=offline,
                )
            return Path(path).parent

        try:
            if not self.force_redownload:
                return folder(offline=True)
        except LocalEntryNotFoundError:
            pass
        try:
            # A single request with a timeout comes first, because the download would try to reach
            # an unreachable hub many times.
            get_hf_file_metadata(
                hf_hub_url(repository, CONFIG, revision=self.revision),
                timeout=constants.HF_HUB_ETAG_TIMEOUT,
            )
            return folder(offline=False)
        except Exception as error:  # exceptions for a lost connection differ between versions
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"separator.weights_from: {repository} is not in the hub's cache and could not be "
                f"downloaded ({reason}); expected a folder that contains a copy of this "
                "repository, or separator.weights_from=small"
            ) from error

    def _published(self, folder: Path) -> Network:
        """Load a network in the challenge's format: config.json and model.safetensors."""
        try:
            network = ConvTasNet.from_pretrained(folder)
        # ValueError and AttributeError are raised for JSON that is malformed or not an object.
        except (InputError, OSError, ValueError, AttributeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{folder}: not a Conv-TasNet in the format of the challenge ({reason})"
            ) from error
        return self._taken(folder / WEIGHTS, network)

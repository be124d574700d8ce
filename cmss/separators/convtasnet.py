"""`separator=convtasnet`: the challenge's networks, or this project's small one."""

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
    """Conv-TasNet, whose weights may also be the challenge's.

    Args:
        weights_from: also `official` (on the Hugging Face hub, one network per instrument) or a
            folder of networks as published, ConvTasNet_<Instrument>_<Causal|NonCausal>/.
        revision: of the published weights: a branch or, to pin them, a commit.
        force_redownload: ask the hub even if the weights are in its cache.

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
        """The network of one instrument."""
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
            # Asked first, since a hub that does not answer would be waited for over and over.
            get_hf_file_metadata(
                hf_hub_url(repository, CONFIG, revision=self.revision),
                timeout=constants.HF_HUB_ETAG_TIMEOUT,
            )
            return folder(offline=False)
        except Exception as error:  # what is raised for a lost connection differs by version
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"separator.weights_from: {repository} is not in the hub's cache and could not be "
                f"downloaded ({reason}); give a folder that holds it, or use "
                "separator.weights_from=small"
            ) from error

    def _published(self, folder: Path) -> Network:
        """A network as the challenge published it: config.json and model.safetensors."""
        try:
            network = ConvTasNet.from_pretrained(folder)
        except (InputError, OSError, ValueError, AttributeError) as error:  # of the JSON the latter
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{folder}: not a published Conv-TasNet ({reason})") from error
        return self._taken(folder / WEIGHTS, network)

"""Makes hydra compose the configuration of a program only once.

Apart from the imports, the composition takes a large part of the start-up time. Without this
module, the configuration would be composed three times. Hydra composes the configuration to
determine whether the call is a multirun, and then again for the run. :mod:`cmss.run.overrides`
composes the default values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hydra._internal.hydra
from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.conf import HydraConf
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from cmss.run.choices import add_choices


@contextmanager
def composed_once() -> Iterator[None]:
    """Make `hydra.main` compose the configuration only once within the block."""
    module: Any = hydra._internal.hydra
    original = module.ConfigLoaderImpl
    module.ConfigLoaderImpl = _Loader
    try:
        yield
    finally:
        module.ConfigLoaderImpl = original


def defaults_of(composed: HydraConf) -> DictConfig:
    """Compose the configuration of the same program without the values that the user set.

    If the user chooses a section by name, such as separator=convtasnet, the default configuration
    contains the chosen section.

    Args:
        composed: section `hydra` of the composed configuration.
    """
    name, words = composed.job.config_name, _words_for_defaults(composed)
    running = GlobalHydra.instance().hydra
    loader = running.config_loader if running else None
    if isinstance(loader, _Loader) and (name, words) in loader.defaults:
        return loader.defaults[name, words]
    # If another process has started this job, the separators are not yet registered here.
    add_choices(words)
    return compose(name, list(words))


def _words_for_defaults(composed: HydraConf) -> tuple[str, ...]:
    """Return command-line arguments that choose the sections of `composed` but change no values."""
    choices = [
        f"{group}=[{','.join(choice)}]" if isinstance(choice, ListConfig) else f"{group}={choice}"
        for group, choice in composed.runtime.choices.items()
        if choice is not None and not group.startswith("hydra/")
    ]
    # The user can add folders with further choices to the search path of hydra.
    folders = [word for word in composed.overrides.hydra if word.startswith("hydra.searchpath=")]
    return (*choices, *folders)


@dataclass(frozen=True)
class _First:
    """Holds the arguments and the result of the first composition."""

    name: str | None
    words: list[str]
    parsed: list[Override]
    result: DictConfig | HydraException


class _Loader(ConfigLoaderImpl):
    """Composes configurations like the base class, and stores results that are needed again.

    Attributes:
        defaults: dict of configurations. Each key is a pair of a configuration name and
            command-line arguments. Each value is the configuration that hydra would compose from
            this pair.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.defaults: dict[tuple[str | None, tuple[str, ...]], DictConfig] = {}
        self._without_overrides = DictConfig({})
        self._first: _First | None = None
        self._parsed: list[Override] = []

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a configuration; see the base class for the arguments."""
        if not validate_sweep_overrides:
            # Hydra uses the result only to determine whether the call is a multirun. Hydra asks
            # for the configuration of a multirun. This method composes the configuration of a
            # single run, because a single run is more likely.
            return self._compose_first(config_name, overrides, run_mode, from_shell)
        first, self._first = self._first, None
        # Hydra appends a word with the run mode to the user's words.
        added = f"hydra.mode={run_mode.name}"
        if first is None or (config_name, overrides) not in (
            (first.name, first.words),
            (first.name, [*first.words, added]),
        ):
            return self._compose(config_name, overrides, run_mode, from_shell, True)
        self.validate_sweep_overrides_legal(first.parsed, run_mode, from_shell)
        if isinstance(first.result, HydraException):
            raise first.result
        if len(overrides) > len(first.words):
            first.result.hydra.mode = run_mode
            first.result.hydra.overrides.hydra.append(added)
        return first.result

    def _compose_first(
        self, name: str | None, words: list[str], run_mode: RunMode, from_shell: bool
    ) -> DictConfig:
        self._parsed = []
        try:
            config = self._compose(name, words, RunMode.RUN, from_shell, False)
        except HydraException as error:
            # In a multirun, the choice of a group may still be missing at this point.
            if "You must specify" in str(error):
                return self._compose(name, words, run_mode, from_shell, False)
            self._first = _First(name, [*words], self._parsed, error)
            raise
        self._first = _First(name, [*words], self._parsed, config)
        return config

    def _compose(self, name: str | None, words: list[str], *how: Any) -> DictConfig:
        config = super().load_configuration(name, words, *how)
        # A word with ~ or + may remove or add a group. Then the defaults cannot be stored.
        if not any(word.startswith(("~", "+")) for word in words):
            self.defaults[name, _words_for_defaults(config.hydra)] = self._without_overrides
        return config

    def _parse_overrides_and_create_caching_repo(self, *args: Any, **more: Any) -> Any:
        self._parsed, repository = super()._parse_overrides_and_create_caching_repo(*args, **more)
        return self._parsed, repository

    def _compose_config_from_defaults_list(self, *args: Any, **more: Any) -> DictConfig:
        config = super()._compose_config_from_defaults_list(*args, **more)
        sections = [str(key) for key in config if key != "hydra"]
        self._without_overrides = OmegaConf.masked_copy(config, sections)
        OmegaConf.set_struct(self._without_overrides, True)
        return config

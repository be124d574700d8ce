"""The list of steps after a separator: what each step declares, and the configuration."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from cmss.errors import InputError
from cmss.renamed import RENAMED
from cmss.run.configuration import stem_settings
from cmss.separators import build_separator
from cmss.separators.builder import build_steps
from cmss.separators.spectra import on_spectra
from cmss.separators.steps import STEPS, chain
from cmss.separators.steps.chain import Stepped
from cmss.separators.steps.partials import Partials
from tests.support.separation import RATE_HZ, Fixed, noise, sources, spectra

ROOT = Path(__file__).parents[1]
EVERY = pytest.mark.parametrize("name", sorted(STEPS))


def steps_of(separator) -> list[str]:
    return [type(step).__name__ for step in separator.steps]


@EVERY
def test_frames_with_their_context_are_changed_as_in_the_whole_recording(name):
    """Given what was learned of all frames, those further away than the context do not count."""
    step = STEPS[name]()
    window = step.window_samples(RATE_HZ)
    # What a window covers on either side of its frames does not count here: frames are given.
    context = round((step.context_s(RATE_HZ) * RATE_HZ - window) / (window // 4))
    first, last, frames = context + 3, context + 7, 2 * context + 12
    X = spectra(2, window // 2 + 1, frames).to(torch.complex64)
    Y = spectra(3, 2, window // 2 + 1, frames, seed=2).to(torch.complex64)
    # Silent in the part that is looked at first, but not throughout.
    Y[1, ..., first - context : last + context] = 0
    learned = step.learn(X, Y)
    everything = step.apply(X, Y.clone(), learned)
    part = slice(first - context, last + context)
    piece = step.apply(X[..., part], Y[..., part].clone(), learned)
    inside = slice(context, context + last - first)
    # Float32, through a network in pieces of another length.
    torch.testing.assert_close(
        piece[..., inside], everything[..., first:last], rtol=1e-4, atol=1e-4
    )


@EVERY
def test_what_is_learned_is_needed_or_nothing(name):
    """A step that learns nothing of a recording needs no more than its frames."""
    step = STEPS[name]()
    bins = step.window_samples(RATE_HZ) // 2 + 1
    X, Y = spectra(2, bins, 4), spectra(2, 2, bins, 4, seed=2)
    learned = step.learn(X.to(torch.complex64), Y.to(torch.complex64))
    assert (learned is None) == (name == "partials")


def test_any_separator_ensembles_and_members_may_have_steps_in_any_order():
    wiener = {"name": "wiener", "iterations": 2}
    settings = {"steps": [wiener, {"name": "directions"}, wiener]}
    separator = build_separator({"name": "oracle", **settings}, RATE_HZ)
    assert steps_of(separator) == ["Wiener", "Directions", "Wiener"]
    members = [{"name": "oracle", "weight": 1, **settings}, {"name": "oracle", "weight": 2}]
    ensemble = build_separator({"name": "ensemble", "members": members, "steps": [wiener]}, RATE_HZ)
    assert steps_of(ensemble) == ["Wiener"]
    first, second = (member.separator for member in ensemble.separator.members)
    assert steps_of(first) == ["Wiener", "Directions", "Wiener"]
    assert not isinstance(second, Stepped)
    assert not isinstance(build_separator({"name": "oracle", "steps": []}, RATE_HZ), Stepped)


def test_the_order_of_steps_counts():
    mixture, track = noise(20000), sources("Oboe", "Flute")
    fixed = Fixed(noise(20000, seed=3), mixture)
    results = []
    for names in (["directions", "wiener"], ["wiener", "directions"]):
        separator = build_separator(
            {"name": "oracle", "steps": [{"name": name} for name in names]}, RATE_HZ
        )
        separator.separator = fixed
        results.append(separator.separate(mixture, track)["source_1"])
    assert abs(results[0] - results[1]).max() > 0.01


def test_consecutive_steps_with_the_same_window_share_one_transform(monkeypatch):
    windows = []

    def counted(function, mixture, estimates, window):
        windows.append(window)
        return on_spectra(function, mixture, estimates, window)

    monkeypatch.setattr(chain, "on_spectra", counted)
    # The post-filter needs the spectra of signals; what follows it shares its transform.
    names = ("directions", "postfilter", "directions", "wiener", "wiener", "directions")
    separator = build_separator(
        {"name": "oracle", "steps": [{"name": name} for name in names]}, RATE_HZ
    )
    separator.separator = Fixed(noise(20000, seed=3), noise(20000))
    separator.separate(noise(20000), sources("Oboe", "Flute"))
    assert windows == [8192, 8192, 4096, 8192]


def test_a_causal_separator_takes_a_step_that_says_that_it_does_not_look_ahead(monkeypatch):
    class Instant(Partials):
        looks_ahead = False

    monkeypatch.setitem(STEPS, "instant", Instant)
    causal = {"name": "oracle", "causality": "causal"}
    separator = build_separator({**causal, "steps": [{"name": "instant"}]}, RATE_HZ)
    assert steps_of(separator) == ["Instant"]
    with pytest.raises(InputError, match=r"^separator\.steps\.1: this step looks ahead"):
        build_separator({**causal, "steps": [{"name": "instant"}, {"name": "wiener"}]}, RATE_HZ)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"name": "echo"}, r"separator\.steps\.0: .*echo.*, expected .* one of directions, part"),
        ({"iterations": 1}, r"separator\.steps\.0: .*iterations.*, expected .* one of directions"),
        ("wiener", r"separator\.steps\.0: 'wiener', expected a mapping"),
        ({"name": "directions", "iterations": 0}, r"separator\.steps\.0\.iterations: .*got 0"),
        ({"name": "directions", "weight": -0.5}, r"separator\.steps\.0\.weight: .*got -0\.5"),
        ({"name": "directions", "bins": 3}, r"separator\.steps\.0\.bins: no such setting, expec"),
        ({"name": "partials", "window": 0}, r"separator\.steps\.0\.window: .*got 0"),
        ({"name": "partials", "window": 4098}, r"separator\.steps\.0\.window: .*got 4098"),
        ({"name": "wiener", "iterations": 1.5}, r"separator\.steps\.0\.iterations: .*got 1\.5"),
        ({"name": "wiener", "looks_ahead": False}, r"separator\.steps\.0\.looks_ahead: no such"),
        ({"name": "postfilter", "weights_from": 3}, r"separator\.steps\.0\.weights_from: .*got 3"),
        ({"name": "postfilter", "weights_from": "none.safetensors"}, r"^none\.safetensors: no suc"),
    ],
)
def test_settings_that_cannot_be_are_refused(step, message):
    with pytest.raises(InputError, match=message):
        build_separator({"name": "oracle", "steps": [step]}, RATE_HZ)


@pytest.mark.parametrize("steps", ["wiener", {"name": "wiener"}, None, 3])
def test_steps_that_are_no_list_are_refused(steps):
    with pytest.raises(InputError, match=r"^separator\.steps: .*, expected a list such as"):
        build_separator({"name": "oracle", "steps": steps}, RATE_HZ)


def test_all_that_is_wrong_with_the_steps_is_reported_together():
    steps = [{"name": "wiener", "iterations": 0}, {"name": "wiener"}, {"name": "echo"}]
    with pytest.raises(InputError) as refused:
        build_separator({"name": "oracle", "steps": steps}, RATE_HZ)
    keys = [problem.split(": ")[0] for problem in refused.value.problems]
    assert keys == ["separator.steps.0.iterations", "separator.steps.2"]


def fingerprint(*steps: dict) -> dict:
    return stem_settings(OmegaConf.create(
        {"separator": {"name": "oracle", "steps": [*steps]}, "input_sample_rate": RATE_HZ}
    ))  # fmt: skip


def test_the_fingerprint_has_all_settings_and_the_weights_of_steps_in_their_order(tmp_path):
    first, second = ({"name": "postfilter", "weights_from": n} for n in ("small", "second_small"))
    assert fingerprint(first, second) != fingerprint(second, first)
    (packaged,) = build_steps([first])["separator.steps.0"].weights
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(Path(packaged).read_bytes())
    # Not where the weights lie, and not whether a default was written out.
    assert fingerprint({**first, "weights_from": str(copy)}) == fingerprint(first)
    wiener = {"name": "wiener"}
    assert fingerprint({**wiener, "iterations": 1}) == fingerprint(wiener)
    assert fingerprint({**wiener, "iterations": 2}) != fingerprint(wiener)


# Old keys.


@pytest.mark.parametrize("key", ["spatial", "partials", "postfilter", "wiener"])
def test_old_keys_of_a_separator_and_of_a_member_are_refused_with_the_new_spelling(key):
    old = {"name": "oracle", key: {"iterations": 0}}
    member = {"name": "ensemble", "members": [{**old, "weight": 1.0}]}
    for settings in (old, member):
        with pytest.raises(InputError, match=rf"^separator\.{key}: no such key any more, expected "
                           r"separator\.steps=\[\{name: "):  # fmt: skip
            build_separator(settings, RATE_HZ)


@pytest.mark.parametrize("recipe", ["enhance", "fit", "fit_postfilter"])
def test_old_keys_on_a_command_line_are_refused_together(recipe, server, tmp_path):
    keys = ["+separator.wiener.iterations=1", "ensemble.postfilter.weights_from=null"]
    done = server.run(recipe, f"path.root={tmp_path}", *keys, cwd=tmp_path)
    assert done.status == 2
    first, second = done.stderr.splitlines()
    assert first.startswith(
        "separator.wiener.iterations: no such key any more, expected separator."
    )
    assert second.startswith("ensemble.postfilter.weights_from: no such key any more, expected ens")
    assert not list(tmp_path.iterdir())


def test_old_keys_in_an_ensemble_of_ones_own_are_refused(server, tmp_path):
    (tmp_path / "ensemble").mkdir()
    (tmp_path / "ensemble/mine.yaml").write_text(
        "normalise: false\nedges_hz: []\nmembers: [{name: oracle, weight: 1.0}]\n"
        "spatial:\n  iterations: 2\n"
    )
    words = (f"path.root={tmp_path}", "ensemble=mine", f"hydra.searchpath=[{tmp_path}]")
    done = server.run("enhance", *words, cwd=tmp_path)
    assert done.status == 2
    assert done.stderr.startswith(
        "ensemble.spatial: no such key any more, expected ensemble.steps="
    )


def test_every_renamed_key_is_on_the_page():
    page = (ROOT / "docs/renamed.md").read_text(encoding="utf-8")
    for old in RENAMED:
        assert f"{old}." in page or f"`{old}`" in page, old

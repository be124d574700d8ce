"""Replaces the AudioContext of a page by an offline context, which returns all output samples."""

import numpy as np

OFFLINE = """
window.AudioContext = class extends OfflineAudioContext {
  constructor({ sampleRate }) { super(2, 2 * sampleRate, sampleRate); window.offline = this; }
  async resume() {}
};
// Render two seconds, with an action at a time in seconds.
window.rendered = async (actions) => {
  // At 0, the page's first messages are received.
  for (const [time, action] of [[0, () => {}], ...actions]) {
    offline.suspend(time).then(async () => {
      action();
      // The message to the audio thread arrives within this time.
      await new Promise((resolve) => setTimeout(resolve, 100));
      OfflineAudioContext.prototype.resume.call(offline);
    });
  }
  const buffer = await offline.startRendering();
  return [0, 1].map((channel) => [...buffer.getChannelData(channel)]);
};
"""
"""Script to run before the page's scripts."""


def rendered(page, actions: str) -> np.ndarray:
    """Return the output (2, samples) of a page that plays.

    Args:
        page: page of Playwright, with the script `OFFLINE`.
        actions: JavaScript list of pairs of a time in seconds and a function.
    """
    return np.array(page.evaluate(f"rendered({actions})"))


def is_silent(signal: np.ndarray) -> bool:
    """Return whether a signal has a gap: two zeros in a row, because one may be a zero crossing."""
    silent = np.all(signal == 0, axis=0)
    return bool((silent[1:] & silent[:-1]).any())

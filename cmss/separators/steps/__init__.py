"""Maps the name of each processing step in the configuration to the class of the step."""

from collections.abc import Mapping
from typing import Any

from cmss.separators.steps.directions import Directions
from cmss.separators.steps.partials import Partials
from cmss.separators.steps.postfilter import PostfilterStep
from cmss.separators.steps.wiener import Wiener

STEPS: Mapping[str, type[Any]] = {
    "directions": Directions,
    "partials": Partials,
    "postfilter": PostfilterStep,
    "wiener": Wiener,
}

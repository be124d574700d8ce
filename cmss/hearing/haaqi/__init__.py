"""HAAQI, the hearing-aid audio quality index, with the same scores as pyclarity but much faster."""

from cmss.hearing.haaqi.index import Haaqi, compute_haaqi, haaqi_components, haaqi_of_several

__all__ = ["Haaqi", "compute_haaqi", "haaqi_components", "haaqi_of_several"]

"""HAAQI, the hearing-aid audio quality index: pyclarity's scores, computed many times faster."""

from cmss.hearing.haaqi.index import Haaqi, compute_haaqi, haaqi_components, haaqi_of_several

__all__ = ["Haaqi", "compute_haaqi", "haaqi_components", "haaqi_of_several"]

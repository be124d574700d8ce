"""Computes HAAQI, the hearing-aid audio quality index, much faster than pyclarity."""

from cmss.hearing.haaqi.index import Haaqi, compute_haaqi, haaqi_components, haaqi_of_several

__all__ = ["Haaqi", "compute_haaqi", "haaqi_components", "haaqi_of_several"]

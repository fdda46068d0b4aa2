"""Effects per offer from a randomized experiment."""

from .uplift import OfferUplift

__all__ = ["OfferUplift"]

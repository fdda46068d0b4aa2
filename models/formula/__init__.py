"""Fitted models as data: JSON and booster text, evaluated by one function everywhere."""

"""Cost of training: energy, CO2e and dollars, from hours, watts and tables that anyone can edit."""

from lth.analysis.cost.formula import dollars, kilograms, kwh, pounds
from lth.analysis.cost.table import Entry, Tables, entry, tables

__all__ = ["Entry", "Tables", "dollars", "entry", "kilograms", "kwh", "pounds", "tables"]

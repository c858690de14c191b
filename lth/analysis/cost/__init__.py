"""What training costs: energy, CO2e and dollars, from hours, watts and tables that anyone can edit; sums of ledgers."""

from lth.analysis.cost.formula import dollars, kilograms, kwh, pounds
from lth.analysis.cost.table import Entry, Tables, chosen, tables
from lth.analysis.cost.text import text

__all__ = ["Entry", "Tables", "chosen", "dollars", "kilograms", "kwh", "pounds", "tables", "text"]

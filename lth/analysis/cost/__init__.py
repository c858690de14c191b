"""Cost of training: energy, CO2e and dollars, from hours, watts and tables that anyone can edit."""

from lth.analysis.cost.formula import dollars, kwh, pounds
from lth.analysis.cost.table import entry, tables

__all__ = ["dollars", "entry", "kwh", "pounds", "tables"]

"""Hours and watts -> energy, CO2e, dollars."""

from collections.abc import Sequence

PUE = 1.58
POUNDS_PER_KWH = 0.954


def kwh(hours: float, watts: float, pue: float = PUE) -> float:
    """p_t = PUE t (p_c + p_r + g p_g) / 1000, the energy that a data center takes, in kWh: t hours, watts the mean draw
    of processors, memory and g GPUs together (Strubell, Ganesh & McCallum 2019, Equation 1; PUE 1.58 is the world mean
    of 2018 there).
    """
    return pue * hours * watts / 1000


def pounds(kwh_pue: float) -> float:
    """CO2e = 0.954 p_t, in pounds: the mean of the USA, EPA 2018 (Strubell et al. 2019, Equation 2)."""
    return POUNDS_PER_KWH * kwh_pue


def dollars(hours: float, devices: int, price: Sequence[float]) -> tuple[float, float]:
    """Hours x devices x price per hour of one device, (preemptible, on demand) (Strubell et al. 2019, Table 3)."""
    low, high = price
    return hours * devices * low, hours * devices * high

"""Rules about criteria, distributions, structures, updaters and rewinding, and what is left of W_k where a mask has
moved.
"""

from lth import UserError
from lth.rules.ranges import check_below, check_fine_tuned, check_gradual, check_moving, check_n_of_m, check_step
from lth.rules.settings import Function, Settings

# Criteria that give every weight of an untrained net the score 0, all that ask how a weight has changed since W_k, and
# those whose scores are ranks within a layer or belong to a whole unit.
COMPARING = ("movement", "magnitude_increase", "magnitude_increase_same_sign", "magnitude_increase_diff_sign",
             "large_final_diff_sign")  # fmt: skip
CHANGED = (*COMPARING, "large_final_same_sign")
RANKS = ("large_init_large_final", "small_init_small_final")
OF_UNITS = ("neuron_l1", "neuron_l2", "batch_norm_scale")


def check_pruning(settings: Settings) -> None:
    """Raise UserError for the first of these rules that the settings break. A run whose tickets are taken from another
    is pruned by the settings of that one, which are checked there.
    """
    _check_updater(settings)
    if settings.starts:
        return
    _check_rewind(settings)
    for name, rule in settings.stops.items():
        if rule.name == "density":
            check_below(name, rule["below"])
    if settings.structure.name == "n_of_m":
        check_n_of_m(settings.structure["n"], settings.structure["m"])
    _check_globally(settings)
    _check_criterion(settings)
    _check_rounds(settings)
    _check_moved(settings)


def _check_rewind(settings: Settings) -> None:
    rewind, steps = settings.rewind, settings.steps
    if rewind.name in ("weights", "learning_rate"):
        check_step(rewind["step"], steps)
    if rewind.name == "fine_tune":
        check_fine_tuned(rewind["steps"], rewind["rate"], steps)


def _check_globally(settings: Settings) -> None:
    structure, criterion = settings.structure.name, _scoring(settings.criterion)
    if settings.distribution.name != "globally":
        return
    if structure in ("neuron", "n_of_m", "row"):
        raise UserError(f"distribution=globally ranks single weights, and structure={structure} removes others: take "
                        "another distribution, or structure=weight")  # fmt: skip
    if criterion in RANKS:
        raise UserError(f"distribution=globally compares scores across layers, but criterion={criterion} gives ranks "
                        "within a layer: use another distribution")  # fmt: skip


def _check_criterion(settings: Settings) -> None:
    structure, criterion, early = settings.structure.name, _scoring(settings.criterion), settings.train_from
    if criterion in OF_UNITS and structure in ("weight", "row", "n_of_m"):
        raise UserError(f"criterion={criterion} scores whole neurons, and structure={structure} removes others: use "
                        "structure=neuron, or criterion=magnitude")  # fmt: skip
    if criterion in COMPARING and early > 0:
        raise UserError(f"criterion={criterion} compares weights before and after training, and train_from={early} "
                        "prunes before it, where every score is 0: use another criterion, or train_from=0")  # fmt: skip


def _check_rounds(settings: Settings) -> None:
    rounds, one_shot = settings.schedule["rounds"] or 1, settings.schedule.name == "one_shot"
    alike = {"by_layer": f"distribution={settings.distribution.name}", "n_of_m": f"structure={settings.structure.name}"}
    once = [alike[name] for name in (settings.distribution.name, settings.structure.name) if name in alike]
    if once and rounds > 1 and one_shot:
        raise UserError(f"schedule.rounds={rounds}: with {once[0]} the first round leaves what all of them leave; "
                        "leave rounds at 1")  # fmt: skip


def _scoring(criterion: Function) -> str:
    """The name of the criterion, or of the one whose opposite it is."""
    while criterion.name == "inverted" and isinstance(criterion["of"], Function):
        criterion = criterion["of"]
    return criterion.name


def _check_updater(settings: Settings) -> None:
    given, steps = settings.updater, settings.steps
    if given.name in ("set", "rigl"):
        check_moving(given["drop_fraction"], given["every"], given["end"], steps)
    if given.name == "gradual":
        check_gradual(given["density"], given["begin"], given["end"], given["every"], steps)


def _check_moved(settings: Settings) -> None:
    """From a dense net on, which set and rigl leave dense, every weight has its W_k."""
    updater, rewind, criterion = settings.updater.name, settings.rewind, _scoring(settings.criterion)
    if updater not in ("set", "rigl") or settings.last_level <= settings.last_from_dense:
        return
    if criterion in CHANGED:
        raise UserError(f"criterion={criterion} compares weights with W_k, and those that updater={updater} grows "
                        "began at 0: use another criterion, schedule=one_shot or a single level")  # fmt: skip
    if settings.train_from and rewind.name == "weights" and rewind["step"] > 0:
        raise UserError(f"rewind.step={rewind['step']}: with train_from={settings.train_from}, weights that the "
                        "updater grows later are 0 at that step; use rewind.step=0 or train_from=0")  # fmt: skip

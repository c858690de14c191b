"""Rules about criteria, distributions, structures and updaters, and what is left of W_k where a mask has moved."""

from lth import UserError
from lth.cli.config.keys import Config
from lth.cli.config.signature import arguments
from lth.schedule import rungs

# Criteria that give every weight of an untrained net the score 0, all that ask how a weight has changed since W_k, and
# those whose scores are ranks within a layer or belong to a whole unit.
COMPARING = ("movement", "magnitude_increase", "magnitude_increase_same_sign", "magnitude_increase_diff_sign",
             "large_final_diff_sign")  # fmt: skip
CHANGED = (*COMPARING, "large_final_same_sign")
RANKS = ("large_init_large_final", "small_init_small_final")
OF_UNITS = ("neuron_l1", "neuron_l2", "batch_norm_scale")


def check_pruning(config: Config) -> None:
    """Raise UserError for the first of these rules that a configuration breaks."""
    _check_n_of_m(config)
    _check_pruning(config)
    _check_updater(config)
    _check_moved(config)


def last_from_dense(config: Config) -> int:
    """The last level whose tickets are pruned from the dense net, or from an untrained one: none was pruned before."""
    levels, once = rungs(config["levels"]), config["schedule"]["_target_"] == "lth.schedule.one_shot"
    return levels[-1] if once else max(levels[:2][-1], config["train_from"])


def gradual_begins(config: Config) -> int | None:
    """The first step by which updater=gradual has removed weights; None with another updater."""
    if config["updater"]["_target_"] != "lth.updater.gradual":
        return None
    begin, every = arguments(config["updater"], "begin", "every")  # at `begin` itself it removes none
    return int(begin + every)


def _check_n_of_m(config: Config) -> None:
    node = config["structure"]
    if node["_target_"] == "lth.structure.n_of_m":
        n, m = arguments(node, "n", "m")
        if not 0 < n <= m:
            raise UserError(f"structure.n={n}, structure.m={m}: keep 1 to m of every m weights")


def _check_pruning(config: Config) -> None:
    structure = config["structure"]["_target_"].removeprefix("lth.structure.")
    globally = config["distribution"]["_target_"] == "lth.distribution.globally"
    if globally and structure in ("neuron", "n_of_m", "row"):
        raise UserError(
            f"distribution=globally ranks single weights, and structure={structure} removes others: take another "
            "distribution, or structure=weight"
        )
    criterion, early = _criterion(config), config["train_from"]
    if globally and criterion in RANKS:
        raise UserError(f"distribution=globally compares scores across layers, but criterion={criterion} gives ranks "
                        "within a layer: use another distribution")  # fmt: skip
    if criterion in OF_UNITS and structure in ("weight", "row", "n_of_m"):
        raise UserError(f"criterion={criterion} scores whole neurons, and structure={structure} removes others: use "
                        "structure=neuron, or criterion=magnitude")  # fmt: skip
    if criterion in COMPARING and early > 0:
        raise UserError(f"criterion={criterion} compares weights before and after training, and train_from={early} "
                        "prunes before it, where every score is 0: use another criterion, or train_from=0")  # fmt: skip
    once = [f"{group}={name}" for group, name in (("distribution", "by_layer"), ("structure", "n_of_m"))
            if config[group]["_target_"] == f"lth.{group}.{name}"]  # fmt: skip
    rounds = config["schedule"].get("rounds", 1)
    if once and rounds > 1 and config["schedule"]["_target_"] == "lth.schedule.one_shot":
        raise UserError(f"schedule.rounds={rounds}: with {once[0]} the first round leaves what all of them leave; "
                        "leave rounds at 1")  # fmt: skip


def _criterion(config: Config) -> str:
    """The name of the criterion, or of the one whose opposite it is."""
    node = config["criterion"]
    while node.get("_target_") == "lth.criterion.inverted" and isinstance(node.get("of"), dict):
        node = node["of"]
    return str(node.get("_target_")).removeprefix("lth.criterion.")


def _check_updater(config: Config) -> None:
    node, steps = config["updater"], config["steps"]
    if node["_target_"] in ("lth.updater.set", "lth.updater.rigl"):
        _check_moving(node, steps)
    if node["_target_"] != "lth.updater.gradual":
        return
    density, begin, end, every = arguments(node, "density", "begin", "end", "every")
    if not 0 < density <= 1:
        raise UserError(f"updater.density={density}: the share that remains in the end, above 0 and at most 1")
    if not 0 <= begin < end <= steps or every < 1 or (end - begin) % every:
        raise UserError(
            f"updater.begin={begin}, updater.end={end}, updater.every={every}: the training has {steps:,} steps; give "
            "0 <= begin < end <= steps, and a multiple of `every` steps between them"
        )


def _check_moving(node: Config, steps: int) -> None:
    fraction, every, end = arguments(node, "drop_fraction", "every", "end")
    if not 0 < fraction <= 1:
        raise UserError(f"updater.drop_fraction={fraction}: the share that is dropped and grown, above 0 and at most 1")
    if not 0 < every < end <= steps:
        raise UserError(
            f"updater.every={every}, updater.end={end}: the training has {steps:,} steps; give 0 < every < end <= steps"
        )


def _check_moved(config: Config) -> None:
    """From a dense net on, which set and rigl leave dense, every weight has its W_k."""
    updater, rewind = config["updater"]["_target_"].removeprefix("lth.updater."), config["rewind"]
    if updater not in ("set", "rigl"):
        return
    later, first = rungs(config["levels"])[-1] > last_from_dense(config), config["train_from"]
    criterion = _criterion(config)
    if criterion in CHANGED and later:
        raise UserError(f"criterion={criterion} compares weights with W_k, and those that updater={updater} grows "
                        "began at 0: use another criterion, schedule=one_shot or a single level")  # fmt: skip
    if later and first and rewind["_target_"] == "lth.rewind.weights" and rewind.get("step", 0) > 0:
        raise UserError(f"rewind.step={rewind['step']}: with train_from={first}, weights that the updater grows later "
                        "are 0 at that step; use rewind.step=0 or train_from=0")  # fmt: skip

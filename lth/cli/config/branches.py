"""Rules about branches and the other keys of a configuration."""

from lth import UserError
from lth.cli.config.keys import Config
from lth.cli.config.pruning import gradual_begins, last_from_dense
from lth.cli.config.signature import arguments
from lth.schedule import rungs

# Branches that draw weights by `init`, and those that need W_k of pruned weights too (shuffle documents what it takes
# in their place).
DRAWN_ANEW = {"reinitialize", "signed_reinitialize", "random_sparsity", "scratch"}
# Those in which nothing is random: further draws would be the same training, counted again.
FIXED = {"continued", "freeze", "freeze_growing", "freeze_growing_all", "invert", "reset", "signed_constant"}
FIXED |= {"supermask", "supermask_constant"}
OF_ALL_WEIGHTS = ("constant", "signed_constant", "freeze", "freeze_growing", "freeze_growing_all", "edge_popup")


def check_branches(config: Config) -> None:
    """Raise UserError for the first branch that the other keys exclude."""
    if config["rewind"].get("rate") == "last":
        return  # the job refuses them all (`lth.job.retraining`)
    _check_pretrained(config)
    for name, node in config["branch"].items():
        target = str(node.get("transform", {}).get("_target_")).removeprefix("lth.branch.")
        if node.get("transform", {}).get("step") is not None:
            _check_step(config, name, target, node)
        draws = node.get("draws", 1)
        if target in FIXED and draws > 1:
            raise UserError(f"branch.{name}.draws={draws}: nothing is random in it, so that all draws are the same "
                            "training; give 1")  # fmt: skip
        if target == "connect" and node.get("compare") is not None and draws < 2:
            raise UserError(f"branch.{name}.draws={draws}: its draws are compared with each other; give 2 or more")
        if target == "continued":
            _check_continued(config, name, node)
        if target == "scratch":
            _check_scratch(config, name, node)
        if target.startswith("freeze") or target == "edge_popup":
            _check_held(config, name, target)
        if target == "invert":
            _check_inverted(config, name)
        if target in OF_ALL_WEIGHTS:
            _check_of_all_weights(config, name, target, node)


def _check_step(config: Config, name: str, target: str, node: Config) -> None:
    """Raise UserError for a step whose weights a branch can't take."""
    steps, early, step = config["steps"], config["train_from"], node["transform"]["step"]
    said = f"branch.{name}.transform.step={step}"
    if target in ("connect", "reset") and step >= steps:
        raise UserError(f"{said}: the training has {steps:,} steps, give one before its end")
    if target == "connect" and step and (of := node["transform"].get("of", "ticket")) != "ticket":
        raise UserError(f"{said}: children of of={of} begin where the ticket does, so that it says nothing; leave it "
                        "at 0, or use of=ticket")  # fmt: skip
    if target == "reset" and step > 0 and early > 0:
        raise UserError(f"{said}: train_from={early} trains no dense net to take the weights from; leave step out")
    start, updater = 0 if 0 in (node.get("levels") or ()) else _start(config), config["updater"]["_target_"]
    if target != "reset" and start is not None and step > start and updater != "lth.updater.none":
        raise UserError(f"{said}: updater={updater.rpartition('.')[2]} moves the mask, and the ticket has that of step "
                        f"{start}; give {start}, or leave one out")  # fmt: skip
    if target in ("signed_reinitialize", "flip_signs") and not (start or 0) <= step <= steps:
        raise UserError(f"{said}: tickets are trained from step {start or 0} to {steps}; give one of them, or null")
    if target in ("signed_reinitialize", "flip_signs") and step == steps and (keep := config["store"]["keep"]) != "all":
        raise UserError(f"store.keep={keep}: {said} looks at the trained weights, use store.keep=all")


def _start(config: Config) -> int | None:
    """The step from which on all tickets begin, if it is known here: some begin at 0 that are pruned untrained, and
    those of another run where that one rewinds to.
    """
    rewind, steps = config["rewind"], int(config["steps"])
    elsewhere = config["train_from"] > 0 or config["start"] is not None
    if elsewhere or not str(rewind["_target_"]).startswith("lth.rewind."):
        return None
    if rewind["_target_"] == "lth.rewind.fine_tune":
        return steps - int(arguments(rewind, "steps")[0])
    return int(rewind.get("step", 0))


def _check_continued(config: Config, name: str, node: Config) -> None:
    keep, early = config["store"]["keep"], config["train_from"]
    if keep != "all":
        raise UserError(f"store.keep={keep}: branch={name} continues from the trained weights, use store.keep=all")
    if early > 0:
        raise UserError(f"branch={name} continues what the level before has trained, and train_from={early} leaves "
                        "levels untrained: leave one out")  # fmt: skip
    if 0 in (node.get("levels") or ()):
        raise UserError(f"branch.{name}.levels={node['levels']}: no net is trained before the dense one; leave 0 out")


def _check_scratch(config: Config, name: str, node: Config) -> None:
    updater, transform = config["updater"]["_target_"], node["transform"]
    cap, counts = transform.get("cap"), transform.get("budget") == "macs"
    if cap is not None and not counts:
        raise UserError(f"branch.{name}.transform.cap={cap}: caps budget=macs, and the budget is steps")
    if counts and updater != "lth.updater.none":
        raise UserError(f"branch.{name}.transform.budget=macs counts the mask that a ticket begins with, and "
                        f"updater={updater.rpartition('.')[2]} moves it: use budget=steps")  # fmt: skip


def _check_held(config: Config, name: str, target: str) -> None:
    keep, updater = config["store"]["keep"], config["updater"]["_target_"]
    if updater != "lth.updater.none":
        does = "chooses its own mask" if target == "edge_popup" else "holds pruned weights at values"
        raise UserError(f"branch={name} {does}, and updater={updater.rpartition('.')[2]} moves the mask meanwhile: "
                        "leave one out")  # fmt: skip
    if "growing" in target and keep != "all":
        raise UserError(f"store.keep={keep}: branch={name} compares the trained weights of all levels before, use "
                        "store.keep=all")  # fmt: skip


def _check_inverted(config: Config, name: str) -> None:
    if gradual_begins(config) is not None:
        raise UserError(f"branch={name}: updater=gradual prunes the dense net too, by magnitude, and opposite scores "
                        "choose only among what it leaves: leave one out")  # fmt: skip


def _check_of_all_weights(config: Config, name: str, target: str, node: Config) -> None:
    kind, step = config["rewind"]["_target_"].removeprefix("lth.rewind."), config["rewind"].get("step", 0)
    last, trained_on = max(node.get("levels") or rungs(config["levels"])), kind in ("learning_rate", "fine_tune")
    later, begins = last > last_from_dense(config), gradual_begins(config)
    if not last:
        return
    needs = f"branch={name} needs W_k of pruned weights too, and with"
    if trained_on and (later or "growing" in target):
        raise UserError(f"{needs} rewind={kind} those pruned before the last training are 0: use rewind=weights")
    if begins is not None and (trained_on or step >= begins):
        remedy = "leave one out" if trained_on else f"use a rewind.step below {begins}"
        raise UserError(f"{needs} updater=gradual those that it has removed by step k are 0: {remedy}")
    if kind == "weights" and step > 0 and later and (early := config["train_from"]):
        raise UserError(f"{needs} train_from={early} those of the first mask are 0 at step {step}: use rewind.step=0 "
                        "or train_from=0")  # fmt: skip


def _check_pretrained(config: Config) -> None:
    if config["init"]["_target_"] != "lth.init.pretrained":
        return
    for name, branch in config["branch"].items():
        node = branch.get("transform", {})
        target = str(node.get("_target_")).removeprefix("lth.branch.")
        if DRAWN_ANEW & {target, node.get("of"), node.get("start")}:
            raise UserError(
                f"branch={name} draws the weights anew by `init`, and init=pretrained draws none: leave one out"
            )
    module, _, model = str(config["model"]["_target_"]).rpartition(".")
    if module == "lth.model" and model != "torchvision":
        raise UserError(f"init=pretrained: torchvision has weights of its own nets, and none of model={model}; choose "
                        "model=torchvision and its model.name")  # fmt: skip

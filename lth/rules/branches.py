"""Rules about branches and the other settings."""

from lth import UserError
from lth.rules.settings import Branching, Settings
from lth.schedule import rungs

# Branches that draw weights by `init`, and those that need W_k of pruned weights too (shuffle documents what it takes
# in their place).
DRAWN_ANEW = {"reinitialize", "signed_reinitialize", "random_sparsity", "scratch"}
# Those in which nothing is random: further draws would be the same training, counted again.
FIXED = {"continued", "freeze", "freeze_growing", "freeze_growing_all", "invert", "reset", "signed_constant"}
FIXED |= {"supermask", "supermask_constant"}
OF_ALL_WEIGHTS = ("constant", "signed_constant", "freeze", "freeze_growing", "freeze_growing_all", "edge_popup")
STEPPED = ("connect", "reset", "signed_reinitialize", "flip_signs")


def check_branches(settings: Settings) -> None:
    """Raise UserError for the first branch that the other settings exclude."""
    if settings.rewind["rate"] == "last":
        return  # the job refuses them all (`lth.job.retraining`)
    _check_pretrained(settings)
    for name, branch in settings.branches.items():
        transform, draws = branch.transform.name, branch.draws
        if transform in STEPPED and branch.transform["step"] is not None:
            _check_step(settings, name, branch)
        if transform in FIXED and draws > 1:
            raise UserError(f"branch.{name}.draws={draws}: nothing is random in it, so that all draws are the same "
                            "training; give 1")  # fmt: skip
        if transform == "connect" and branch.compared and draws < 2:
            raise UserError(f"branch.{name}.draws={draws}: its draws are compared with each other; give 2 or more")
        if transform == "continued":
            _check_continued(settings, name, branch)
        if transform == "scratch":
            _check_scratch(settings, name, branch)
        if transform.startswith("freeze") or transform == "edge_popup":
            _check_held(settings, name, branch)
        if transform == "invert" and settings.gradual_begins is not None:
            raise UserError(f"branch={name}: updater=gradual prunes the dense net too, by magnitude, and opposite "
                            "scores choose only among what it leaves: leave one out")  # fmt: skip
        if transform in OF_ALL_WEIGHTS:
            _check_of_all_weights(settings, name, branch)


def _check_pretrained(settings: Settings) -> None:
    if settings.init.name != "pretrained":
        return
    for name, branch in settings.branches.items():
        transform = branch.transform
        if any(each in DRAWN_ANEW for each in (transform.name, transform["of"], transform["start"])):
            raise UserError(f"branch={name} draws the weights anew by `init`, and init=pretrained draws none: leave "
                            "one out")  # fmt: skip
    if (model := settings.model.name) != "torchvision" and "." not in model:
        raise UserError(f"init=pretrained: torchvision has weights of its own nets, and none of model={model}; choose "
                        "model=torchvision and its model.name")  # fmt: skip


def _check_step(settings: Settings, name: str, branch: Branching) -> None:
    """Raise UserError for a step whose weights a branch can't take."""
    transform, steps, early, step = branch.transform, settings.steps, settings.train_from, branch.transform["step"]
    said, updater = f"branch.{name}.transform.step={step}", settings.updater.name
    if transform.name in ("connect", "reset") and step >= steps:
        raise UserError(f"{said}: the training has {steps:,} steps, give one before its end")
    if transform.name == "connect" and step and transform["of"] != "ticket":
        raise UserError(f"{said}: children of of={transform['of']} begin where the ticket does, so that it says "
                        "nothing; leave it at 0, or use of=ticket")  # fmt: skip
    if transform.name == "reset" and step > 0 and early > 0:
        raise UserError(f"{said}: train_from={early} trains no dense net to take the weights from; leave step out")
    start = 0 if 0 in (branch.levels or ()) else settings.start
    if transform.name != "reset" and start is not None and step > start and updater != "none":
        raise UserError(f"{said}: updater={updater} moves the mask, and the ticket has that of step {start}; give "
                        f"{start}, or leave one out")  # fmt: skip
    if transform.name in ("signed_reinitialize", "flip_signs") and not (start or 0) <= step <= steps:
        raise UserError(f"{said}: tickets are trained from step {start or 0} to {steps}; give one of them, or null")


def _check_continued(settings: Settings, name: str, branch: Branching) -> None:
    if (early := settings.train_from) > 0:
        raise UserError(f"branch={name} continues what the level before has trained, and train_from={early} leaves "
                        "levels untrained: leave one out")  # fmt: skip
    if branch.levels and 0 in branch.levels:
        raise UserError(f"branch.{name}.levels={[*branch.levels]}: no net is trained before the dense one; leave 0 out")


def _check_scratch(settings: Settings, name: str, branch: Branching) -> None:
    cap, counts, updater = branch.transform["cap"], branch.transform["budget"] == "macs", settings.updater.name
    if cap is not None and not counts:
        raise UserError(f"branch.{name}.transform.cap={cap}: caps budget=macs, and the budget is steps")
    if counts and updater != "none":
        raise UserError(f"branch.{name}.transform.budget=macs counts the mask that a ticket begins with, and "
                        f"updater={updater} moves it: use budget=steps")  # fmt: skip


def _check_held(settings: Settings, name: str, branch: Branching) -> None:
    if (updater := settings.updater.name) != "none":
        does = "chooses its own mask" if branch.transform.name == "edge_popup" else "holds pruned weights at values"
        raise UserError(f"branch={name} {does}, and updater={updater} moves the mask meanwhile: leave one out")


def _check_of_all_weights(settings: Settings, name: str, branch: Branching) -> None:
    rewind, begins = settings.rewind, settings.gradual_begins
    last, trained_on = max(branch.levels or rungs(settings.levels)), rewind.name in ("learning_rate", "fine_tune")
    later, step = last > settings.last_from_dense, rewind["step"] or 0
    if not last:
        return
    needs = f"branch={name} needs W_k of pruned weights too, and with"
    if trained_on and (later or "growing" in branch.transform.name):
        raise UserError(f"{needs} rewind={rewind.name} those pruned before the last training are 0: use rewind=weights")
    if begins is not None and (trained_on or step >= begins):
        remedy = "leave one out" if trained_on else f"use a rewind.step below {begins}"
        raise UserError(f"{needs} updater=gradual those that it has removed by step k are 0: {remedy}")
    if rewind.name == "weights" and step > 0 and later and (early := settings.train_from):
        raise UserError(f"{needs} train_from={early} those of the first mask are 0 at step {step}: use rewind.step=0 "
                        "or train_from=0")  # fmt: skip

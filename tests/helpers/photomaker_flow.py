"""The PhotoMaker forward flow on the stand-ins."""

from customenhancer.identity.photomaker_lora import KEY
from customenhancer.nodes.photomaker import PhotoMakerForwardFlowNode

TEXT = "a photo of a firefighter man img, smiling, (red hat:1.2)"
MAN = 6  # place of "man" in the encoded prompt


def run_photomaker(model, clip, photomaker, people, text=TEXT, **options):
    """The node's outputs: MODEL, positive, customization-free. people: reference pictures; options: of the node."""
    return PhotoMakerForwardFlowNode.execute(model, clip, photomaker, people, text, **options).result


def without_need(conditioning: list) -> list:
    """A CONDITIONING without the entry that names the LoRA it needs: tensors, which can be compared."""
    return [[cond, {name: value for name, value in options.items() if name != KEY}] for cond, options in conditioning]

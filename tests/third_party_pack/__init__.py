"""A stand-in for a custom node pack by somebody else: an identity adapter with guiders of its own, in the V1 style.

It does what such packs do and knows nothing of this one: it clones the MODEL, patches attention, subclasses the host's
CFGGuider in its own way, and offers a guider that is none. For tests only.
"""

from .guiders import IdentityGuiderNode, PlainGuiderNode
from .identity_adapter import ApplyIdentity

NODE_CLASS_MAPPINGS = {
    "ThirdPartyApplyIdentity": ApplyIdentity,
    "ThirdPartyIdentityGuider": IdentityGuiderNode,
    "ThirdPartyPlainGuider": PlainGuiderNode,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "ThirdPartyApplyIdentity": "Apply Identity (test)",
    "ThirdPartyIdentityGuider": "Identity Guider (test)",
    "ThirdPartyPlainGuider": "Plain Guider (test)",
}

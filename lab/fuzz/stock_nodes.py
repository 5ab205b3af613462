"""Stock nodes that are filled in from their own schema, where the host has them: patches, guiders, samplers, ..."""

STOCK: dict[str, list[str]] = {
    "MODEL": [
        *(
            "FreSca",
            "Mahiro",
            "TCFG",
            "NAGuidance",
            "RenormCFG",
            "Epsilon Scaling",
            "TemporalScoreRescaling",
            "CFGOverride",
        ),
        *("ModelNoiseScale", "ModelSamplingContinuousV", "ModelSamplingContinuousEDM", "ModelComputeDtype", "PerpNeg"),
        *("LoraLoaderBypassModelOnly", "VideoLinearCFGGuidance", "SelectModelDevice"),
    ],
    "GUIDER": ["DualModelGuider"],
    "SAMPLER": [
        *("SamplerEulerCFGpp", "SamplerEulerAncestralCFGPP", "SamplerLCMUpscale", "SamplerLCM", "SamplerARVideo"),
        *("SamplerSASolver", "SamplerSEEDS2", "SamplerER_SDE", "SamplerDPMAdaptative", "VOIDSampler"),
    ],
    "CONDITIONING": [
        *("ConditioningSetDefaultCombine", "ConditioningSetAreaPercentage", "ConditioningSetAreaPercentageVideo"),
        *("ConditioningMultiply", "ConditioningSetProperties", "InpaintModelConditioning", "ControlNetApply"),
        *(
            "CLIPTextEncodeSDXL",
            "CLIPTextEncodeSDXLRefiner",
            "FluxGuidance",
            "LTXVConditioning",
            "InstructPixToPixConditioning",
        ),
    ],
    "SIGMAS": [
        "ExponentialScheduler",
        "PolyexponentialScheduler",
        "VPScheduler",
        "BetaSamplingScheduler",
        "SDTurboScheduler",
    ],
    "MASK": ["FeatherMask", "ThresholdMask", "MaskComposite", "CropMask"],
}

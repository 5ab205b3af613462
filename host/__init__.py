"""What ties the mathematics to ComfyUI: guiders, samplers, two flows in one model, gradients, checks and files."""

"""Put the host on sys.path for the scripts that train with its modules: COMFYUI_PATH names it. Import this first."""

import os
import sys

sys.path.append(os.environ["COMFYUI_PATH"])  # last: pocket's own modules keep their names

from comfy.cli_args import args

args.cpu = True
args.use_pytorch_cross_attention = True

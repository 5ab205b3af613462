"""Many jobs on many hosts: a workflow and a table of inputs become pictures, each made once, on all ComfyUIs at hand.

Needs nothing but Python. Ray, pyarrow, tqdm and websocket-client are used where they are installed.
"""

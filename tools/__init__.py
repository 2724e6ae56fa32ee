"""What `dev.py` and the tests stand on: the set-up, a real ComfyUI, a client. Not part of the pack."""

"""The only files that import ComfyUI's runtime: folders, devices, memory, progress, the server."""

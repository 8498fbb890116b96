"""A1111's API (v1.10): /sdapi/v1, /internal and /controlnet, so that its clients work unchanged."""

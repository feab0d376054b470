"""The words of vLLM-Omni's duplex clients (`?duplex=1`) where they differ from ours."""

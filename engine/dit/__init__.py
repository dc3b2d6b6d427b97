"""The AnyTalker engine (arXiv 2511.23475): a multi-stream diffusion transformer on diffusers' own parts."""

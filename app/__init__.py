"""The studio page. The only folder that imports gradio; it imports no torch, and of our code only the engine."""

# Before gradio: the engine's package switches off what libraries would tell their makers.
import engine  # noqa: F401

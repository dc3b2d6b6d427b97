"""How the page looks: warm paper by day, ink by night, one accent; faces bring the other colours."""

import json
from pathlib import Path

import gradio as gr

from app import texts

ASSETS = Path(__file__).resolve().parent.parent / "assets"
CSS = ASSETS / "studio.css"
ICON = ASSETS / "icon.png"
SCRIPTS = ("rt-common.js", "rt-people.js", "rt-timeline.js", "rt-takes.js")

EMBER = gr.themes.Color(
    "#fdf3ee", "#fae1d5", "#f4c2ac", "#ec9b7b", "#e2714a", "#cf4f25", "#bd4119", "#9c3415", "#7b2a13", "#5f2312",
    "#381208", name="ember",
)  # fmt: skip
PAPER = gr.themes.Color(
    "#faf9f7", "#f3f1ed", "#e6e3dd", "#d3cfc7", "#a8a39a", "#7a766e", "#5b5852", "#43413d", "#2b2a28", "#1d1c1b",
    "#131312", name="paper",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """Fonts come with gradio: nothing is fetched from anywhere."""
    look = gr.themes.Base(
        primary_hue=EMBER,
        secondary_hue=EMBER,
        neutral_hue=PAPER,
        radius_size=gr.themes.sizes.radius_lg,
        font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
        font_mono=(gr.themes.LocalFont("IBM Plex Mono"), "ui-monospace", "monospace"),
    )
    return look.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_label_text_weight="400",
        block_title_text_weight="700",
        block_info_text_weight="400",
        checkbox_label_text_weight="400",
        button_large_text_weight="700",
        button_medium_text_weight="700",
        button_small_text_weight="700",
        prose_header_text_weight="700",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        button_border_width="1px",
        button_border_width_dark="1px",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        slider_color="*primary_500",
    )


def head() -> str:
    """The web components and their words, inside the page itself: nothing is fetched, wherever it is served."""
    words = json.dumps(texts.COMPONENT_WORDS).replace("<", "\\u003c")
    scripts = [f"window.roundtableWords = {words};", *((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)]
    return "".join(f"<script>{script}</script>" for script in scripts)

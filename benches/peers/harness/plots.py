"""Draws bars as SVG: self-contained files without scripts and fonts, for light and for dark mode."""

from __future__ import annotations

from html import escape

from .programs import ROOT
from .report import medians

IMAGES = ROOT / "docs" / "images"
SHOWN = ["barewire", "barewire-ct", "tonic", "tonic-ct", "grpc-go", "connectrpc", "bare"]
WIDTH, LABEL, BAR, GAP = 760, 130, 15, 26

STYLE = """
svg { font: 13px system-ui, sans-serif; background: #fff; }
text { fill: #1f2328; } .faint { fill: #59636e; }
.ours { fill: #0969da; } .peer { fill: #8c959f; } .floor { fill: #c8ccd1; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; }
  text { fill: #f0f6fc; } .faint { fill: #9198a1; }
  .ours { fill: #4493f8; } .peer { fill: #6e7681; } .floor { fill: #3d444d; }
}
"""


def write(data: dict) -> None:
    IMAGES.mkdir(exist_ok=True)
    found = medians(data)
    unary = ["unary 1×100", "unary 10×100", "unary 50×10", "4 KiB answers 1×100"]
    streams = ["ListFeatures", "RecordRoute", "RouteChat"]
    big = ["1 MiB to the client", "1 MiB to the server", "1 MiB echoed"]
    chart(found, unary, "cpu_us", "Server CPU of a unary call, µs: less is better", "unary-cpu")
    chart(found, streams, "cpu_us", "Server CPU of a small message of a stream, µs: less is better", "stream-cpu")
    chart(found, big, "mb_per_s", "Messages of 1 MiB, MB/s: more is better", "big-throughput")


def chart(found: dict, whats: list[str], metric: str, title: str, name: str) -> None:
    """Draws a group of bars for each row, with one scale within the group."""
    top, parts = 34, []
    for what in whats:
        values = {peer: found.get(what, {}).get(peer, {}).get(metric) for peer in SHOWN}
        values = {peer: value for peer, value in values.items() if value is not None}
        if not values:
            continue
        parts.append(f'<text x="12" y="{top + 14}" font-weight="600">{escape(what)}</text>')
        top += 24
        most = max(values.values())
        for peer, value in values.items():
            kind = "ours" if peer.startswith("barewire") else "floor" if peer == "bare" else "peer"
            length = max(1.0, value / most * (WIDTH - LABEL - 80))
            shown = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
            parts.append(f'<text class="faint" x="{LABEL - 8}" y="{top + 12}" text-anchor="end">{escape(peer)}</text>')
            parts.append(f'<rect class="{kind}" x="{LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>')
            parts.append(f'<text x="{LABEL + length + 6:.1f}" y="{top + 12}">{shown}</text>')
            top += BAR + 5
        top += GAP - 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" aria-label="{escape(title)}">'
    body = "\n".join([f'<text x="12" y="22" font-size="15" font-weight="600">{escape(title)}</text>', *parts])
    (IMAGES / f"{name}.svg").write_text(f"{head}\n<style>{STYLE}</style>\n{body}\n</svg>\n")

"""The little style of our own: colours follow the text colour and the colour scheme of Streamlit's theme."""

from __future__ import annotations

PICTURE_WIDTH = 1400
"""Of a strip of four views, in pixels."""

STYLE = """
<style>
.stMainBlockContainer { padding: 3.2rem 3rem 4rem; max-width: 1640px; }
.stMain h1 { font-size: 2.1rem; padding: 0.4rem 0; }
.stMain h2 { font-size: 1.6rem; padding: 0.3rem 0; }
.stMain h3 { font-size: 1.25rem; padding: 0.3rem 0; }
/* The surface viewer is ahead of the server: it is not faded while the page is drawn again. */
.stElementContainer[data-stale="true"]:has(.stBidiComponent) { opacity: 1 !important; }
.sb { --faint: color-mix(in srgb, currentColor 65%, transparent); --line: color-mix(in srgb, currentColor 18%, transparent);
      --active: light-dark(rgb(104 160 246), rgb(40 97 200)); font-size: 0.95rem; line-height: 1.5; }
.sb .faint { color: var(--faint); }
.sb .num { font-variant-numeric: tabular-nums; }
.sb table { border-collapse: collapse; width: 100%; }
.sb td, .sb th { padding: 0.28rem 0.6rem 0.28rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.sb th { font-weight: 600; color: var(--faint); font-size: 0.85rem; }
.sb td.num, .sb th.num { text-align: right; }

.sb-context { padding: 0.5rem 0; border-bottom: 1px solid var(--line); }
.sb-context .where { font-size: 0.8rem; color: var(--faint); display: flex; gap: 1rem; margin-bottom: 0.1rem; }
.sb-context .where .value { margin-left: auto; }
.sb-context .text { font-family: "Source Serif", Georgia, serif; font-size: 1.02rem; white-space: pre-wrap; overflow-wrap: anywhere;
    unicode-bidi: plaintext; max-height: 16rem; overflow-y: auto; }
.sb-context mark { color: inherit; border-radius: 0.2em; padding: 0.08em 0;
    background: color-mix(in oklab, var(--active) var(--share), transparent); }
.sb-context mark.peak { font-weight: 700; box-shadow: inset 0 -2px 0 currentColor; }
.sb-interval { font-weight: 600; font-size: 0.9rem; padding-top: 0.8rem; }
.sb-scale { display: flex; align-items: center; gap: 0.6rem; font-size: 0.8rem; color: var(--faint); padding: 0.3rem 0; }
.sb-scale i { width: 9rem; height: 0.8rem; border-radius: 0.2em; border: 1px solid var(--line);
    background: linear-gradient(in oklab to right, transparent, var(--active)); }

.sb-token { font-family: "Source Code", "Source Code Pro", monospace; font-size: 0.88rem; white-space: pre; }
.sb-dot { display: inline-block; width: 0.7rem; height: 0.7rem; border-radius: 50%; margin-right: 0.5rem; }
.sb-bar { display: block; height: 0.7rem; margin-top: 0.42rem; background: var(--active); border-radius: 0.15em; min-width: 1px; }

.sb-pair { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
.sb-pair table { flex: 1 1 12rem; width: auto; table-layout: fixed; }
.sb-pair th:nth-child(2) { width: 3.6rem; white-space: nowrap; }
.sb-pair th:nth-child(3) { width: 26%; }
.sb-pair .sb-token { overflow: hidden; text-overflow: ellipsis; }
.sb-label { padding: 0.25rem 0 0.45rem; border-bottom: 1px solid var(--line); }

.sb-views { display: grid; font-size: 0.85rem; color: var(--faint); text-align: center; padding: 0.4rem 0 0.2rem; }
.sb-colours { display: flex; justify-content: center; align-items: flex-start; flex-wrap: wrap; gap: 0.5rem 2rem;
    padding-top: 0.5rem; font-size: 0.85rem; }
.sb-colours .bar { width: min(24rem, 60vw); text-align: center; }
.sb-colours .gradient { position: relative; height: 0.85rem; }
.sb-colours .tip { position: absolute; top: 0; width: 0.7rem; height: 0.85rem; }
.sb-colours .tip.left { right: 100%; background: var(--first); clip-path: polygon(100% 0, 100% 100%, 0 50%); }
.sb-colours .tip.right { left: 100%; background: var(--last); clip-path: polygon(0 0, 0 100%, 100% 50%); }
.sb-colours .ticks { position: relative; height: 1.5rem; font-variant-numeric: tabular-nums; }
.sb-colours .ticks span { position: absolute; transform: translateX(-50%); border-top: 0; padding-top: 0.15rem; }
.sb-colours .ticks span::before { content: ""; position: absolute; left: 50%; top: 0; height: 0.25rem; border-left: 1px solid var(--faint); }
.sb-colours .swatch { display: inline-flex; align-items: center; gap: 0.45rem; white-space: nowrap; }
.sb-colours .swatch i { width: 0.9rem; height: 0.9rem; border-radius: 0.15em; display: inline-block; }
</style>
"""

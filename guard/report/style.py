"""How the report looks: a style sheet that stands inside the page."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6675; --line: #d9dee6; --ground: #fff; --tint:
#f5f7fa;
  --allow: #1a6e36; --redact: #a35a0a; --deny: #a01e28; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebf1; --soft: #9aa6b6; --line: #343d4a; --ground:
#141920;
  --tint: #1c232c; --allow: #58c27d; --redact: #e0a050; --deny: #f0767e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 60rem; color: var(--ink); background:
var(--ground);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .6rem; }
p { margin: .5rem 0; max-width: 46rem; }
.soft { color: var(--soft); }
.alert { border-left: .3rem solid var(--deny); background: var(--tint); padding: .6rem .9rem; }
.counts { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.25rem 0; padding: 0; list-style: none; }
.counts li { flex: 1 1 7rem; background: var(--tint); border-top: .25rem solid var(--line); padding: .6rem
.8rem; } .counts b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums;
} .counts .allow { border-color: var(--allow); } .counts .redact { border-color: var(--redact); } .counts
.deny { border-color: var(--deny); } .bar { display: flex; height: .8rem; background: var(--tint); overflow:
hidden; } .bar .allow { background: var(--allow); } .bar .redact { background: var(--redact); } .bar .deny {
background: var(--deny); } .wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; } th,
td { text-align: left; vertical-align: top; padding: .4rem .7rem .4rem 0; border-bottom: 1px solid
var(--line); } th { font-weight: 600; color: var(--soft); font-size: .85rem; } .number { text-align: right;
font-variant-numeric: tabular-nums; white-space: nowrap; } code { font: .9em ui-monospace, "SFMono-Regular",
Menlo, Consolas, monospace; overflow-wrap: anywhere; } ul { padding-left: 1.2rem; } li { margin: .2rem 0; }
@media print { body { padding: 0; max-width: none; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
""".strip()
